"""From a page to its lines, and from lines of characters to words in reading order.

Lines are found on a shrunken copy, and cut out of the page as it is, a little wider than found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.document import Box, Word
from inktally.engines.rapidocr.network import Character, confidence, detect, recognise
from inktally.imaging.page import PageImage

Pixels = NDArray[np.uint8]
Corners = NDArray[np.float32]
"""(4, 2): clockwise from the top left, in pixels of the page."""

LOOKED_AT = 2_000_000  # pixels of the copy on which lines are found; A4 at 145 dpi
SHORT_SIDE = 736  # pixels that the copy's shorter side has at least, where that many pixels suffice
SMALLEST = 32  # pixels of a side; what is smaller gets a white margin
LEAST_MARGIN, MOST_MARGIN = 0.1, 0.3  # of a line's height, at both ends: the detector cuts off the ends of long lines
LONG = 15.0  # times longer than high: from there on the margin is the widest
HEIGHT = 48  # pixels of a line, as the recogniser takes it
UPRIGHT = 1.5  # how many times higher than wide a line is that may stand on end

LEAST_CONFIDENCE = 0.5  # of a line's characters on average; what is below is no text in most cases
SAME_ROW = 0.5  # of the lower line's height that two lines must have in common


@dataclass(frozen=True)
class TextLine:
    """A line and its characters; `corners` hold the picture of it that was read, so places are between its sides."""

    corners: Corners
    characters: list[Character]


def lines_on(page: PageImage) -> list[TextLine]:
    """All lines of a page, in no certain order."""
    grey = page.pixels.ndim == 2  # noqa: PLR2004
    picture: Pixels = cv2.cvtColor(page.pixels, cv2.COLOR_GRAY2BGR if grey else cv2.COLOR_RGB2BGR)  # type: ignore[assignment]
    scale = _scale(page)
    found = [_widened(corners / scale) for corners in detect(_padded(_scaled(picture, scale)))]
    candidates = [candidate for corners in found for candidate in _ways_up(corners)]
    read = recognise([_cut(picture, corners) for corners in candidates])
    lines = iter(TextLine(corners, characters) for corners, characters in zip(candidates, read, strict=True))
    return [
        max((next(lines) for _ in _ways_up(corners)), key=lambda line: confidence(line.characters)) for corners in found
    ]


def _scale(page: PageImage) -> float:
    most = float((LOOKED_AT / (page.width * page.height)) ** 0.5)
    return min(most, max(1.0, SHORT_SIDE / min(page.width, page.height)))


def _scaled(picture: Pixels, scale: float) -> Pixels:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how)  # type: ignore[return-value]


def _padded(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    below, beside = max(0, SMALLEST - height), max(0, SMALLEST - width)
    return cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(255, 255, 255))  # type: ignore[return-value]


def _sides(corners: Corners) -> tuple[float, float]:
    """Width and height of a line."""
    along, down = corners[[1, 2]] - corners[[0, 3]], corners[[3, 2]] - corners[[0, 1]]
    return float(np.linalg.norm(along, axis=1).mean()), float(np.linalg.norm(down, axis=1).mean())


def _widened(corners: Corners) -> Corners:
    """Longer at both ends, along the line."""
    width, height = _sides(corners)
    margin = min(width, height) * float(
        np.clip(MOST_MARGIN * width / max(height, 1.0) / LONG, LEAST_MARGIN, MOST_MARGIN)
    )
    along = (corners[[1, 2]] - corners[[0, 3]]) * (margin / max(width, 1.0))
    return np.asarray(corners + np.stack([-along[0], along[0], along[1], -along[1]]))


def _ways_up(corners: Corners) -> list[Corners]:
    """A high narrow line is one that stands on end, or a single narrow character."""
    width, height = _sides(corners)
    return [corners, np.roll(corners, -1, axis=0)] if height > UPRIGHT * width else [corners]


def _cut(picture: Pixels, corners: Corners) -> Pixels:
    """The line, level; a large one is shrunk evenly, which keeps its strokes whole."""
    width, height = (max(1, round(side)) for side in _sides(corners))
    straight = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.ascontiguousarray(corners, np.float32), straight)
    cut = cv2.warpPerspective(picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if height > 2 * HEIGHT:
        cut = cv2.resize(cut, (max(1, width * HEIGHT // height), HEIGHT), interpolation=cv2.INTER_AREA)
    return cut  # type: ignore[return-value]


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
