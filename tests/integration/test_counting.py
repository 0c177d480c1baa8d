"""Counting with real Sparks: in this process, in others, on a Connect server and under spark-submit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psutil
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pyarrow import parquet
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from deployments.class_data import prepare
from inktally.counters.spark import SparkCounter, build
from inktally.counters.spark.java import find_java
from inktally.document import Box, Token, Word, WordCounts
from inktally.errors import CountFailed, MissingTool
from inktally.settings import Settings, read_settings
from inktally.tokens import tokenise
from spark_jobs.batch_count import lower_cased as batch_lower_cased
from spark_jobs.word_count import read_tokens
from tests.support.servers import free_port, process, wait_until

ROOT = Path(__file__).parents[2]
JOB = ROOT / "spark_jobs" / "word_count.py"
SCRIPTS = Path(sysconfig.get_path("scripts"))
SUBMIT = ["env", f"PYSPARK_PYTHON={sys.executable}", f"{SCRIPTS}/spark-submit"]
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


@pytest.fixture(scope="session")
def counter(prepared: Settings) -> Iterator[SparkCounter]:
    shared = build(prepared)
    shared.count({"": tokens("word")})
    yield shared
    shared.close()


def left_in(scratch: Path) -> list[str]:
    """What scratch folders hold besides the working folder of the JVM."""
    return [path.name for path in scratch.rglob("*") if path.suffix == ".parquet"]


# what is counted


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(st.lists(st.text(min_size=1, max_size=20), max_size=30), min_size=1, max_size=8))
def test_spark_counts_as_plain_python_does(documents: list[list[str]], counter: SparkCounter) -> None:
    given_ = {str(number): tokens(" ".join(texts), 33.336) for number, texts in enumerate(documents)}
    counted = counter.count(given_)
    assert list(counted) == list(given_)
    assert {name: rows(counts) for name, counts in counted.items()} == {n: oracle(t) for n, t in given_.items()}


def test_every_letter_with_two_cases_is_lower_cased_as_python_does_wherever_it_stands(counter: SparkCounter) -> None:
    cased = [c for c in map(chr, range(0x110000)) if c.lower() != c or c.upper() != c]
    ignored = [c for c in map(chr, range(0x20000)) if unicodedata.category(c) in ("Mn", "Me", "Cf", "Lm", "Sk")]
    for context in ("{}", "A{}", "\u0391{}\u03a3", "\u0391\u03a3{}\u0391", "\u03a3{}"):
        counted = tokens(" ".join(context.format(c) for c in cased + ignored))
        assert rows(counter.count({"": counted})[""]) == oracle(counted), context


def test_latin_words_are_lower_cased_without_icu_as_they_are_with_it(counter: SparkCounter) -> None:
    latin = [f"{before}{chr(c)}{after}" for c in range(0x370) for before in ("", "I", "a") for after in ("", "B")]
    counted = [token for token in tokens(" ".join(latin)) if max(token.text) < "\u0370"]
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.icu.caseMappings.enabled", value=False)
    assert rows(counter.count({"": counted})[""]) == oracle(counted)
    assert session.conf.get("spark.sql.icu.caseMappings.enabled") == "false"


@contextmanager
def locale_of_the_jvm(session: SparkSession, language: str) -> Iterator[None]:
    locales = cast("Any", session)._jvm.java.util.Locale  # noqa: SLF001 - PySpark has no other way to the JVM
    before = locales.getDefault()
    locales.setDefault(locales.forLanguageTag(language))
    try:
        yield
    finally:
        locales.setDefault(before)


@pytest.mark.parametrize("by_icu", [False, True])
@pytest.mark.parametrize("language", ["tr", "lt"])
def test_words_are_lower_cased_alike_under_every_locale(counter: SparkCounter, language: str, *, by_icu: bool) -> None:
    accents = ["", "\u0300", "\u0301", "\u0303", "\u0307", "\u0328", "\u00e9"]
    counted = tokens(" ".join(f"{chr(c)}{accent}B" for c in range(0x370) for accent in accents))
    counted = [token for token in counted if max(token.text) < "\u0370"]
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.icu.caseMappings.enabled", value=by_icu)
    with locale_of_the_jvm(session, language):
        assert rows(counter.count({"": counted})[""]) == oracle(counted)
        lowered = session.sql("SELECT 'TITLE' AS word").select(batch_lower_cased("word")).collect()
    assert lowered == [("title",)]


def test_greek_after_latin_has_its_final_sigmas(counter: SparkCounter) -> None:
    counter.count({"": tokens("latin")})
    counted = counter.count({"": tokens("\u039f\u0394\u039f\u03a3")})[""]
    assert [entry.word for entry in counted.words] == ["\u03bf\u03b4\u03bf\u03c2"]


def test_words_come_by_falling_count_and_then_by_code_point(counter: SparkCounter) -> None:
    counted = counter.count({"": tokens("b \U00010400 z \ufa0e \u00e9 B a")})[""]
    assert [entry.word for entry in counted.words] == ["b", "a", "z", "\u00e9", "\ufa0e", "\U00010428"]


def test_the_mean_confidence_has_two_decimals(counter: SparkCounter) -> None:
    counted = counter.count({"": [*tokens("word", 90), *tokens("Word", 80), *tokens("WORD", 80.01)]})[""]
    assert rows(counted) == [("word", 3, 83.34)]


@pytest.mark.parametrize("name", ["", "a/b c", "../x", "caf\u00e9", "'; --", "*"])
def test_a_document_may_have_any_name(name: str, counter: SparkCounter) -> None:
    counted = counter.count({name: tokens("one two two"), "blank": []})
    assert rows(counted[name]) == [("two", 2, 90), ("one", 1, 90)]
    assert counted["blank"] == WordCounts(words=())


def test_no_words_cost_no_spark() -> None:
    script = "import sys; print(c.count({'a': []})['a'].words, 'pyspark' in sys.modules)"
    assert run(script, read_settings()).stdout == "() False\n"


# how it is counted


def test_many_documents_are_one_job(counter: SparkCounter) -> None:
    session = SparkSession.builder.getOrCreate()
    session.sparkContext.setJobGroup("many", "")
    counter.count({str(number): tokens(f"word{number} word") for number in range(20)})
    assert len(session.sparkContext.statusTracker().getJobIdsForGroup("many")) == 1
    session.sparkContext.setJobGroup("others", "")


def test_the_tokens_are_gone_after_the_count(counter: SparkCounter, prepared: Settings) -> None:
    counter.count({"": tokens("word")})
    assert left_in(prepared.scratch) == []


@pytest.mark.usefixtures("counter")
def test_a_scratch_folder_may_have_any_name(prepared: Settings, tmp_path: Path) -> None:
    odd = build(prepared.model_copy(update={"scratch": tmp_path / "a b,[c] {d} *? %20 \u00e9"}))
    assert rows(odd.count({"": tokens("word")})[""]) == [("word", 1, 90)]


def test_threads_count_at_once_on_one_jvm(counter: SparkCounter, prepared: Settings) -> None:
    results: dict[int, list[tuple[str, int, float]]] = {}

    def count(number: int) -> None:
        results[number] = rows(build(prepared).count({"": tokens(f"a{number} {GREEK if number % 2 else ''}")})[""])

    threads = [threading.Thread(target=count, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: oracle(tokens(f"a{n} {GREEK if n % 2 else ''}")) for n in range(6)}
    assert len(jvms()) == 1
    assert counter.count({"": []}) == {"": WordCounts(words=())}


@pytest.mark.long
def test_after_its_jvm_has_died_a_count_fails_and_the_next_one_has_a_new_jvm(
    counter: SparkCounter, prepared: Settings
) -> None:
    counter.count({"": tokens("word")})
    [jvm] = jvms()
    jvm.kill()
    jvm.wait()
    with pytest.raises(CountFailed) as failure:
        counter.count({"": tokens("word")})
    assert failure.value.retryable
    assert left_in(prepared.scratch) == []
    assert rows(counter.count({"": tokens("word")})[""]) == [("word", 1, 90)]
    assert len(jvms()) == 1


# processes


def run(script: str, chosen: Settings, *, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    with started(script, chosen, **environment) as child:
        out, err = child.communicate(stdin, timeout=120)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


@contextmanager
def started(script: str, chosen: Settings, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python with `c`, a counter, and `t`, which makes tokens."""
    preamble = (
        "from inktally.settings import read_settings; from inktally.plugins import counter;"
        "from inktally.document import Token;"
        f"c = counter(read_settings(scratch={str(chosen.scratch)!r}, class_data={str(chosen.class_data)!r},"
        f"spark_remote={chosen.spark_remote!r}));"
        "t = lambda text: [Token(text=word, confidence=90, words=(0,)) for word in text.split()]\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", preamble + script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def test_warming_up_returns_before_spark_has_started_and_what_counting_says_is_nothing(
    prepared: Settings, tmp_path: Path
) -> None:
    chosen = prepared.model_copy(update={"scratch": tmp_path})
    script = (
        "import psutil; c.warm_up(); print(not c.is_ready)\n"
        "print(c.count({'x': t('B a b')})['x'].total)\n"
        "print('classes.jsa' in str(psutil.Process().memory_maps()) or [p.pid for p in psutil.Process().children()])"
    )
    done = run(script, chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["True", "3"]
    assert not [pid for pid in json.loads(done.stdout.splitlines()[2]) if psutil.pid_exists(pid)]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.long
@pytest.mark.parametrize("moment", ["c.count({'x': t('word')})", "c.warm_up(); time.sleep(0.5)"])
def test_a_killed_process_leaves_no_jvm(moment: str, prepared: Settings, tmp_path: Path) -> None:
    chosen = prepared.model_copy(update={"scratch": tmp_path})
    with started(f"import time; {moment}; print('ready', flush=True); time.sleep(60)", chosen) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        mine = jvms(child.pid)
        assert mine
        child.kill()
    assert psutil.wait_procs(mine, timeout=20)[1] == []


def test_a_process_that_ends_while_spark_starts_leaves_nothing(prepared: Settings, tmp_path: Path) -> None:
    chosen = prepared.model_copy(update={"scratch": tmp_path})
    script = "import time, psutil; c.warm_up(); time.sleep(0.7); print([p.pid for p in psutil.Process().children()])"
    done = run(script, chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert [pid for pid in json.loads(done.stdout) if psutil.pid_exists(pid)] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# Java


def test_without_java_the_error_says_how_to_install_it(prepared: Settings) -> None:
    script = "import inktally.errors as e\ntry: c.count({'': t('word')})\nexcept e.MissingTool as error: print(error)"
    assert "apt-get install openjdk-17-jre-headless" in run(script, prepared, JAVA_HOME="/nowhere").stdout


@pytest.mark.parametrize(
    ("version", "fits"), [("1.8.0_402", False), ("11.0.22", False), ("17", True), ("21.0.2", True)]
)
@pytest.mark.parametrize("told", ["file", "command"])
def test_java_must_be_17_or_newer(
    version: str, fits: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    if told == "file":
        (tmp_path / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if fits:
        assert find_java() == (java, version)
    else:
        with pytest.raises(MissingTool, match=r"Java 17 or newer, and .* is version"):
            find_java()


def test_a_jvm_that_does_not_start_gives_its_own_reason(prepared: Settings) -> None:
    script = (
        "import inktally.errors as e\n"
        "try: c.count({'': t('word')})\n"
        "except e.CountFailed as error: print(error)\n"
        "import os; del os.environ['SPARK_HOME']\n"
        "print(c.count({'': t('word')})[''].total)"
    )
    done = run(script, prepared, SPARK_HOME="/nowhere")
    assert done.stdout.splitlines()[0].startswith("Spark did not start: [Errno 2]")
    assert done.stdout.splitlines()[1] == "1"


# the prepared start


def test_the_prepared_start_is_made_once_and_used(counter: SparkCounter, prepared: Settings) -> None:
    home = prepare(prepared)
    made = (home / "classes.jsa").stat()
    assert prepare(prepared) == home
    assert (home / "classes.jsa").stat() == made
    counter.count({"": tokens("word")})
    [jvm] = jvms()
    assert str(home / "classes.jsa") in {mapped.path for mapped in jvm.memory_maps()}
    assert [path.name for path in prepared.class_data.glob("spark-*")] == [home.name]


# a Connect server


@contextmanager
def connect_server(port: int, folder: Path) -> Iterator[None]:
    """What sbin/start-connect-server.sh runs, in the foreground."""
    options = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"{QUICK} -Djava.io.tmpdir={folder}",
    }
    command = [*SUBMIT, "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [part for name, value in options.items() for part in ("--conf", f"{name}={value}")]
    with process([*command, "spark-internal"], folder / "out") as server:
        wait_until(lambda: listening(server.pid, port), server)
        yield


def listening(pid: int, port: int) -> bool:
    return any(at.status == "LISTEN" and at.laddr.port == port for at in psutil.Process(pid).net_connections())


@pytest.mark.long
def test_a_connect_server_gives_the_same_counts_and_may_come_and_go(
    counter: SparkCounter, prepared: Settings, tmp_path: Path
) -> None:
    port = free_port()
    script = f"""
import sys, time, inktally.errors as e
for _ in range(3):
    begun = time.monotonic()
    try:
        counted = c.count({{name: t(text) for name, text in {SAMPLE!r}.items()}})
        print("counted", {{name: [(w.word, w.count, w.confidence) for w in of.words] for name, of in counted.items()}})
    except e.CountFailed as error:
        print("failed", time.monotonic() - begun, error)
    sys.stdout.flush()
    sys.stdin.readline()
"""
    expected = {
        name: rows(counts)
        for name, counts in counter.count(
            {
                name: [Token(text=word, confidence=90, words=(0,)) for word in text.split()]
                for name, text in SAMPLE.items()
            }
        ).items()
    }
    chosen = prepared.model_copy(update={"scratch": tmp_path / "scratch", "spark_remote": f"sc://127.0.0.1:{port}"})
    with started(script, chosen) as child:
        assert answer(child).startswith("failed")
        with connect_server(port, tmp_path):
            assert answer(child, "\n") == f"counted {expected}\n"
        failed = answer(child, "\n")
        assert failed.startswith("failed")
        assert float(failed.split()[1]) < 30
        assert child.communicate("\n")[1] == ""
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


def answer(child: subprocess.Popen[str], line: str = "") -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(line)
    child.stdin.flush()
    return child.stdout.readline()


# the job on its own


def token_table(documents: Mapping[str, str]) -> pa.Table:
    each = [(name, token) for name, text in documents.items() for token in tokens(text, 87.5)]
    return pa.table(
        {
            "confidence": pa.array([round(token.confidence * 100) for _, token in each], pa.int32()),
            "word": [token.text for _, token in each],
            "document": [name for name, _ in each],
        }
    )


def written(output: Path) -> list[dict[str, object]]:
    parts = sorted(output.glob("part-*.json"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


@pytest.mark.long
def test_the_job_runs_under_spark_submit(tmp_path: Path) -> None:
    parquet.write_table(token_table(SAMPLE), tmp_path / "tokens.parquet")
    (tmp_path / "counts.json").mkdir()
    (tmp_path / "counts.json" / "part-old.json").write_text("old")
    command = [*SUBMIT, "--master", "local[2]", "--driver-java-options", QUICK, "--conf", "spark.ui.enabled=false"]
    command += [str(JOB), "--input", f"{tmp_path}/tokens.parquet", "--output", f"{tmp_path}/counts.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert written(tmp_path / "counts.json") == [
        {"document": name, "word": word, "count": count, "confidence": confidence}
        for name in sorted(SAMPLE)
        for word, count, confidence in oracle(tokens(SAMPLE[name], 87.5))
    ]


def test_the_job_counts_a_plain_column_of_words_and_refuses_what_is_not_there(
    prepared: Settings, tmp_path: Path
) -> None:
    parquet.write_table(pa.table({"word": ["a", "B", None, "b", "None"]}), tmp_path / "words.parquet")
    calls = [["--input", f"{tmp_path}/{name}.parquet", "--output", f"{tmp_path}/out"] for name in ("words", "none")]
    script = f"from spark_jobs.word_count import main; print([main(call) for call in {calls!r}])"
    done = run(script, prepared, SPARK_HOME=str(prepare(prepared)), SPARK_SUBMIT_OPTS=QUICK)
    assert done.stdout == "[0, 2]\n"
    assert written(tmp_path / "out") == [
        {"document": "", "word": "b", "count": 2},
        {"document": "", "word": "a", "count": 1},
        {"document": "", "word": "none", "count": 1},
    ]
    complaint = done.stderr.splitlines()[-1]
    assert complaint.startswith(f"word_count: {tmp_path}/none.parquet cannot be counted: [PATH_NOT_FOUND]")


@pytest.mark.usefixtures("counter")
def test_a_missing_column_is_named(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(AnalysisException, match="word"):
        read_tokens(SparkSession.builder.getOrCreate(), str(tmp_path / "text.parquet"))


def test_help_tells_the_columns_without_starting_spark() -> None:
    command = ["env", "JAVA_HOME=/nowhere", sys.executable, JOB, "--help"]
    assert "confidence  integer" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
