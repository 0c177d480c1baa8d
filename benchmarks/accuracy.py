"""How well pages are read: python -m benchmarks.accuracy --corpus DIR --results DIR [--engine E] [--peers] [--json].

The corpus is a folder with a manifest.json whose items of the role `accuracy` name a picture, its kind, its language
and a file with what stands on it. Each picture's text is written to RESULTS/<picture>.txt, those of peers to
RESULTS/peers/<peer>/<picture>.txt, and scored by word-count F1: twice the words that both texts have, over the words
of both. Peers read the same pictures in the same run, one at a time as we do, on one thread where they let us say so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Self

from benchmarks.readers import Reader, Unread, ours, peers
from inktally import plugins
from inktally.sandbox.watchdog import PAGE, resident_bytes

HYPHEN_AT_LINE_END = re.compile(r"(?<=\w)[-\u00ad\u00ac\u2010\u2e17]\s*\n\s*(?=\w)")
WORD = re.compile(r"[^\W_]+")
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Picture:
    """A picture of the corpus: its name there, what kind of page it is, its language, and what stands on it."""

    name: str
    kind: str
    language: str
    truth: str


@dataclass(frozen=True)
class Score:
    """How one picture was read. `failure` is the error's kind where it was not."""

    picture: str
    kind: str
    f1: float
    seconds: float
    megabytes: int
    failure: str = ""


def main() -> int:
    asked = arguments()
    pictures = corpus(asked.corpus)
    readers = [ours(asked.engine), *(peers() if asked.peers else [])]
    scores: dict[str, list[Score]] = {}
    for number, reader in enumerate(readers):
        results = asked.results if number == 0 else asked.results / "peers" / reader.name
        scores[reader.name] = list(scored(reader, pictures, asked.corpus, results))
    if asked.json:
        sys.stdout.write(json.dumps({name: [asdict(each) for each in rows] for name, rows in scores.items()}) + "\n")
    else:
        sys.stdout.write(table(scores))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description="How well pages are read.")
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="folder with a manifest.json")
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="where the texts are written")
    parser.add_argument("--engine", default="auto", choices=plugins.engines(), help="recognition engine (auto)")
    parser.add_argument("--peers", action="store_true", help="also tesseract, OCRmyPDF (where installed) and RapidOCR")
    parser.add_argument("--json", action="store_true", help="the score of each picture as JSON instead of a table")
    return parser.parse_args()


def corpus(folder: Path) -> list[Picture]:
    items = json.loads((folder / "manifest.json").read_text("utf-8"))["items"]
    return [
        Picture(
            name=item["file"],
            kind=item["kind"],
            language=item.get("language") or "eng",
            truth=(folder / item["ground_truth"]).read_text("utf-8"),
        )
        for item in items
        if item.get("role") == "accuracy"
    ]


def scored(reader: Reader, pictures: Sequence[Picture], folder: Path, results: Path) -> Iterable[Score]:
    """Read all pictures with one reader, write the texts, and tell on the terminal how it goes."""
    with reader.started() as read:
        for number, picture in enumerate(pictures, 1):
            with Peak() as peak:
                begun = time.monotonic()
                text, failure = read_or_told(read, folder / picture.name, picture.language)
                seconds = time.monotonic() - begun
            target = results / f"{picture.name}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
            score = Score(picture.name, picture.kind, f1(picture.truth, text), seconds, peak.megabytes, failure)
            yield score
            say(f"{reader.name} {number}/{len(pictures)} {score.f1:.3f} {seconds:5.1f} s {picture.name} {failure}")


def read_or_told(read: Callable[[Path, str], str], picture: Path, language: str) -> tuple[str, str]:
    """The text, or the kind of the error."""
    try:
        return read(picture, language), ""
    except Unread as error:
        return "", str(error)


def say(line: str) -> None:
    sys.stderr.write(line.rstrip() + "\n")


def words(text: str) -> Counter[str]:
    """NFKC, a long s taken for an s, halves at a line's end joined, case folded."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{LATIN SMALL LETTER LONG S}", "s")
    return Counter(WORD.findall(HYPHEN_AT_LINE_END.sub("", plain).casefold()))


def f1(truth: str, text: str) -> float:
    wanted, found = words(truth), words(text)
    both = wanted.total() + found.total()
    return 2 * (wanted & found).total() / both if both else 1.0


class Peak:
    """The most memory that the processes below this one took together, looked at twenty times a second."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._most = 0

    @property
    def megabytes(self) -> int:
        return self._most // MEGABYTE

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.05):
            self._most = max(self._most, resident_bytes(os.getpid()) - own_bytes())


def own_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE


def table(scores: dict[str, list[Score]]) -> str:
    """F1 by kind, seconds a page and peak memory, a column for each reader, in Markdown."""
    readers = list(scores)
    kinds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for reader, read in scores.items():
        for score in read:
            kinds[score.kind][reader].append(score.f1)
    lines = [f"| kind | pages | {' | '.join(readers)} |", f"| --- | ---: |{' ---: |' * len(readers)}"]
    for kind, found in sorted(kinds.items()):
        lines.append(line(kind, len(found[readers[0]]), [f"{fmean(found[reader]):.3f}" for reader in readers]))
    rows = list(scores.values())
    pages = len(rows[0])
    lines.append(line("all pages", pages, [f"{fmean(each.f1 for each in row):.3f}" for row in rows]))
    lines.append(line("refused or failed", "", [str(sum(bool(each.failure) for each in row)) for row in rows]))
    lines.append(line("seconds a page", "", [f"{fmean(each.seconds for each in row):.1f}" for row in rows]))
    lines.append(line("most memory (MB)", "", [str(max(each.megabytes for each in row)) for row in rows]))
    return "\n".join(lines) + "\n"


def line(name: str, pages: object, cells: Sequence[str]) -> str:
    return f"| {name} | {pages} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
