"""How engines read a page, each or together, and which of these is kept.

Two readings of one page become one: where both have read the same spot, the likelier words are kept.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from inktally.document import Word
from inktally.imaging.glyphs import Boxes
from inktally.reading.quality import Judged, coverage, judged, quality
from inktally.reading.vocabulary import vocabulary, with_long_s

SAME_HEIGHT = 0.4  # of the higher word's height that the middles of two words on one line may differ
SAME_SPOT = 0.3  # of the narrower word's width that two words on one spot have in common
NEAR = 3.0  # of a line's height
LEAST_CHANCE = 0.5  # of a word that only one engine has seen


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
    names = "+".join(dict.fromkeys([first.engine, second.engine]))
    both = _weighed(names, merged(better.words, worse.words), letters)
    return max(both, better, key=lambda candidate: candidate.quality)


@dataclass
class _MergedLine:
    """Words from left to right, and the block and paragraph they are in."""

    words: list[Judged]
    block: int = 1
    paragraph: int = 1

    @property
    def middle(self) -> float:
        return sum(each.word.box.top + each.word.box.height / 2 for each in self.words) / len(self.words)

    @property
    def height(self) -> int:
        return max(each.word.box.height for each in self.words)

    @property
    def left(self) -> int:
        return min(each.word.box.left for each in self.words)

    @property
    def right(self) -> int:
        return max(each.word.box.left + each.word.box.width for each in self.words)

    def numbered(self, line: int) -> Iterator[Judged]:
        for number, each in enumerate(self.words, 1):
            place = {"block": self.block, "paragraph": self.paragraph, "line": line, "word": number}
            yield each._replace(word=each.word.model_copy(update=place))


def merged(first: Sequence[Judged], second: Sequence[Judged]) -> list[Judged]:
    """The words of both, boxes in the same pixels. The layout is that of `first`; lines are numbered anew."""
    lines, home = _lines_of(first)
    alone: list[Judged] = []
    for ours, theirs in _spots(first, second):
        if ours:
            home[ours[0]].words += _kept([first[index] for index in ours], [second[index] for index in theirs])
        else:
            alone += [second[index] for index in theirs if second[index].alone >= LEAST_CHANCE]
    lines = [line for line in lines if line.words]
    for _, group in groupby(alone, key=lambda each: each.word.line_id):
        _insert(list(group), lines)
    for line in lines:
        line.words.sort(key=lambda each: each.word.box.left)
    return [each for number, line in enumerate(lines, 1) for each in line.numbered(number)]


def _lines_of(words: Sequence[Judged]) -> tuple[list[_MergedLine], list[_MergedLine]]:
    """The lines of a reading, still empty, and for each word its line."""
    lines: list[_MergedLine] = []
    home: list[_MergedLine] = []
    for (_, block, paragraph, _), group in groupby(words, key=lambda each: each.word.line_id):
        lines.append(_MergedLine([], block, paragraph))
        home += [lines[-1] for _ in group]
    return lines, home


def _kept(ours: list[Judged], theirs: list[Judged]) -> list[Judged]:
    """What was read likelier on one spot."""
    if not theirs:
        return [each for each in ours if each.alone >= LEAST_CHANCE]
    return ours if _chance(ours) >= _chance(theirs) else theirs


def _chance(words: list[Judged]) -> float:
    """Long words weigh more."""
    lengths = [len(each.word.text) for each in words]
    return sum(each.chance * length for each, length in zip(words, lengths, strict=True)) / sum(lengths)


def _spots(first: Sequence[Judged], second: Sequence[Judged]) -> list[tuple[list[int], list[int]]]:
    """Indices of the words of both that share a spot, by chains of overlaps; each word is in one spot."""
    touching = _touching(_boxes(first), _boxes(second))
    neighbours: dict[int, list[int]] = defaultdict(list)
    for ours, theirs in np.argwhere(touching).tolist():
        neighbours[ours].append(-1 - theirs)
        neighbours[-1 - theirs].append(ours)
    seen: set[int] = set()
    spots = []
    for start in [*range(len(first)), *range(-1, -1 - len(second), -1)]:
        if start not in seen:
            spot = _reached(start, neighbours, seen)
            spots.append((sorted(n for n in spot if n >= 0), sorted(-1 - n for n in spot if n < 0)))
    return spots


def _reached(start: int, neighbours: dict[int, list[int]], seen: set[int]) -> list[int]:
    reached, waiting = [], [start]
    seen.add(start)
    while waiting:
        node = waiting.pop()
        reached.append(node)
        new = [other for other in neighbours.get(node, ()) if other not in seen]
        seen.update(new)
        waiting += new
    return reached


def _boxes(words: Sequence[Judged]) -> NDArray[np.float32]:
    boxes = [(w.word.box.left, w.word.box.top, w.word.box.width, w.word.box.height) for w in words]
    return np.array(boxes, np.float32).reshape(-1, 4)


def _touching(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(len(first), len(second)): which words stand on one spot of one line."""
    left, top, width, height = (column[:, None] for column in first.T)
    other_left, other_top, other_width, other_height = (column[None, :] for column in second.T)
    apart = abs(top + height / 2 - other_top - other_height / 2)
    common = np.minimum(left + width, other_left + other_width) - np.maximum(left, other_left)
    is_level = apart < SAME_HEIGHT * np.maximum(height, other_height)
    return np.asarray(is_level & (common > SAME_SPOT * np.minimum(width, other_width)))


def _insert(words: list[Judged], lines: list[_MergedLine]) -> None:
    """Into the line that they stand in, or as a line of their own below the nearest one above."""
    new = _MergedLine(words)
    beside = next((line for line in lines if _is_beside(new, line)), None)
    if beside:
        beside.words += words
        return
    level = new.middle + SAME_HEIGHT * new.height
    above = [number for number, line in enumerate(lines) if line.middle < level]
    nearest = min(above, key=lambda n: abs(new.middle - lines[n].middle) + _gap(new, lines[n]), default=-1)
    place = nearest + 1
    if lines:
        neighbour = lines[max(0, place - 1)]
        new = _MergedLine(words, neighbour.block, neighbour.paragraph)
    lines.insert(place, new)


def _gap(first: _MergedLine, second: _MergedLine) -> int:
    """Between two lines, sideways."""
    return max(0, second.left - first.right, first.left - second.right)


def _is_beside(new: _MergedLine, line: _MergedLine) -> bool:
    """Whether it stands at the height of the line and not far from its ends, or in a gap of it."""
    high = max(new.height, line.height)
    return abs(new.middle - line.middle) < SAME_HEIGHT * high and _gap(new, line) < NEAR * high
