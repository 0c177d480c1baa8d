"""How engines read a page, each or together, and which of these is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inktally.document import Word
from inktally.imaging.glyphs import Boxes
from inktally.reading.merging import merged
from inktally.reading.quality import Judged, coverage, judged, quality
from inktally.reading.vocabulary import vocabulary, with_long_s


@dataclass(frozen=True)
class Attempt:
    """The words that an engine, or several together, read on a page, and how well that seems to have gone (0 to 1)."""

    engine: str
    words: tuple[Judged, ...]
    quality: float


def attempt(engine: str, words: Sequence[Word], letters: Boxes, languages: tuple[str, ...]) -> Attempt:
    """`letters` are the boxes of what looks like letters, in the pixels of the words'."""
    known = vocabulary(languages)
    return _weighed(engine, judged(with_long_s(words, languages, known), engine, known), letters)


def _weighed(engine: str, words: Sequence[Judged], letters: Boxes) -> Attempt:
    covered = coverage([each.word for each in words], letters)
    return Attempt(engine, tuple(words), quality([each.chance for each in words], covered))


def best(first: Attempt, second: Attempt, letters: Boxes) -> Attempt:
    """The better one of two, or what both give together; the layout is that of the better."""
    better, worse = (first, second) if first.quality >= second.quality else (second, first)
    both = _weighed(f"{first.engine}+{second.engine}", merged(better.words, worse.words), letters)
    return max(both, better, key=lambda candidate: candidate.quality)
