"""From lines of characters to words in reading order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from inktally.document import Box, Word
from inktally.engines.rapidocr.lines import Corners, TextLine
from inktally.engines.rapidocr.network import Character, confidence

LEAST_CONFIDENCE = 0.5  # of a line's characters on average; what is below is no text in most cases
SAME_ROW = 0.5  # of the lower line's height that two lines must have in common


@dataclass(frozen=True)
class _WordPiece:
    """A word of a line, and between which places of the line (0 to 1) it stands."""

    characters: Sequence[Character]
    start: float
    end: float


def words_of(lines: Sequence[TextLine]) -> list[Word]:
    """Row by row; lines side by side are one row."""
    sure = [line for line in lines if confidence(line.characters) >= LEAST_CONFIDENCE]
    words = []
    for number, row in enumerate(_rows(sure), 1):
        pieces = [(line, piece) for line in row for piece in _pieces(line.characters)]
        words += [_word(line.corners, piece, number, place) for place, (line, piece) in enumerate(pieces, 1)]
    return words


def _rows(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: float(line.corners[:, 1].mean())):
        if rows and _is_beside(rows[-1][-1], line):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: float(line.corners[:, 0].min())) for row in rows]


def _is_beside(first: TextLine, second: TextLine) -> bool:
    """Whether two lines stand at the same height and not upon each other."""
    (left, top), (right, bottom) = first.corners.min(axis=0), first.corners.max(axis=0)
    (other_left, other_top), (other_right, other_bottom) = second.corners.min(axis=0), second.corners.max(axis=0)
    common = min(bottom, other_bottom) - max(top, other_top)
    covered = min(right, other_right) - max(left, other_left)
    return bool(
        common > SAME_ROW * min(bottom - top, other_bottom - other_top)
        and covered < SAME_ROW * min(right - left, other_right - other_left)
    )


def _pieces(characters: Sequence[Character]) -> Iterator[_WordPiece]:
    """Words are parted by spaces; each reaches half a character beyond the middles of its first and last one."""
    places = [character.place for character in characters]
    half = float(np.median(np.diff(places))) / 2 if len(places) > 1 else 0.5
    for is_space, group in groupby(characters, key=lambda character: character.text.isspace()):
        if not is_space:
            word = list(group)
            yield _WordPiece(word, max(0.0, word[0].place - half), min(1.0, word[-1].place + half))


def _word(corners: Corners, piece: _WordPiece, line: int, place: int) -> Word:
    top_left, top_right, bottom_right, bottom_left = corners
    ends = np.array([[piece.start], [piece.end]])
    outline = np.concatenate(
        [top_left + ends * (top_right - top_left), bottom_left + ends * (bottom_right - bottom_left)]
    )
    (left, top), (right, bottom) = np.maximum(outline.min(axis=0), 0), outline.max(axis=0)
    return Word(
        text="".join(character.text for character in piece.characters),
        confidence=round(100 * confidence(piece.characters), 2),
        page=1,
        block=1,
        paragraph=1,
        line=line,
        word=place,
        box=Box(
            left=round(left), top=round(top), width=max(1, round(right - left)), height=max(1, round(bottom - top))
        ),
    )
