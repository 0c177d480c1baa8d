"""Small counts with Spark: what they come to by plain Python, and Pythons that count."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from inktally.document import Box, Token, Word, WordCounts
from inktally.settings import Settings
from inktally.tokens import tokenise
from tests.support.machine import PROJECT

SUBMIT = Path(sysconfig.get_path("scripts")) / "spark-submit"
PYTHON_SUBMIT = ["env", f"PYSPARK_PYTHON={sys.executable}", str(SUBMIT)]
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
BOX = Box(left=0, top=0, width=1, height=1)
GREEK = "\u039f\u0394\u039f\u03a3 \u1f08\u03a3\u03a4\u03a1\u0391 \u03a3 \u0391\u03a3'\u0391"
SAMPLE = {"letter": "The fox and the \u00c9t\u00e9 and THE end", "greek": GREEK, "blank": ""}


def tokens(text: str, confidence: float = 90.0) -> list[Token]:
    word = Word(text=text, confidence=confidence, page=1, block=1, paragraph=1, line=1, word=1, box=BOX)
    return tokenise([word])


def oracle(counted: Sequence[Token]) -> list[tuple[str, int, float]]:
    """The counts by plain Python: word, count and mean confidence."""
    counts, sums = Counter[str](), Counter[str]()
    for token in counted:
        counts[token.text.lower()] += 1
        sums[token.text.lower()] += round(token.confidence * 100)
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [(word, count, round(sums[word] / count / 100, 2)) for word, count in ordered]


def rows(counts: WordCounts) -> list[tuple[str, int, float]]:
    return [(entry.word, entry.count, entry.confidence) for entry in counts.words]


def jvms(parent: int | None = None) -> list[psutil.Process]:
    """The JVMs of a process, but for the Connect server that other tests of the session share."""
    children = [child for child in psutil.Process(parent).children(recursive=True) if "java" in child.name()]
    return [child for child in children if not any("SparkConnectServer" in word for word in child.cmdline())]


def run(script: str, chosen: Settings, *, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    with started(script, chosen, **environment) as child:
        out, err = child.communicate(stdin, timeout=120)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


@contextmanager
def started(script: str, chosen: Settings, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python with `c`, a counter, `t`, which makes tokens, and `wait_for_java`."""
    preamble = (
        "import psutil, time; from inktally.settings import read_settings; from inktally.plugins import counter;"
        "from inktally.document import Token;"
        f"c = counter(read_settings(scratch={str(chosen.scratch)!r}, class_data={str(chosen.class_data)!r},"
        f"spark_remote={chosen.spark_remote!r}));"
        "t = lambda text: [Token(text=word, confidence=90, words=(0,)) for word in text.split()]\n"
        "def wait_for_java():\n"
        "    while not any('java' in each.name() for each in psutil.Process().children()): time.sleep(0.01)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", preamble + script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env={**os.environ, **environment},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()
