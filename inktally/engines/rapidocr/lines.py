"""From a page to its lines: found on a shrunken copy, cut out of the page as it is, a little wider than found."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

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
