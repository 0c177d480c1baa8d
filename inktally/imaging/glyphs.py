"""What looks like letters on a page, found without reading it: the ground on which all else is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
"""(height, width); 0 is black."""
Boxes = NDArray[np.float32]
"""(n, 4): left, top, width, height in pixels."""
Components = NDArray[np.int32]
"""(n, 5): left, top, width, height and area in pixels."""

LOOKED_AT = 3_000_000  # pixels; a larger page is shrunk to this before anything is measured
ENLARGED = 2.0  # and a small one enlarged by so much, so that its letters stay apart
FAINTEST, FULL = 24, 128  # grey levels between paper and ink: below, there is no ink; above, contrast suffices
WINDOW = 41  # pixels; a few letters, over which ink is told from paper
SENSITIVITY, RANGE = 0.2, 128.0  # Sauvola's k and R
SMALLEST = 4  # pixels; of the longer side of a letter, once the page is shrunk
LARGEST = 1 / 8  # of the page's shorter side
FEWEST = 10  # with fewer letters than this nothing is said about their size


@dataclass(frozen=True)
class Glyphs:
    """The boxes of what may be letters on a page of `width` by `height` pixels.

    `size` is the commonest longer side of them, about the height of an x (0: too few to say).
    """

    boxes: Boxes
    width: int
    height: int
    size: float

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def centres(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.boxes[:, :2] + self.boxes[:, 2:] / 2)

    def at(self, boxes: Boxes) -> Glyphs:
        """The same letters elsewhere."""
        return replace(self, boxes=boxes)

    def turned(self, quarters: int) -> Glyphs:
        """As they stand once the page is turned by so many quarters, anticlockwise."""
        (left, top, wide, high), page_width, page_height = self.boxes.T, self.width, self.height
        for _ in range(quarters % 4):
            left, top, wide, high = top, page_width - left - wide, high, wide
            page_width, page_height = page_height, page_width
        return replace(self, boxes=np.stack([left, top, wide, high], axis=1), width=page_width, height=page_height)

    def levelled(self, degrees: float) -> Glyphs:
        """As they stand, whole, once lines that fall by so many degrees are level."""
        angle, (x, y), half = np.deg2rad(degrees), self.centres.T, self.boxes[:, 2:] / 2
        centres = np.stack([x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)], axis=1)
        return replace(self, boxes=np.concatenate([centres - half, self.boxes[:, 2:]], axis=1).astype(np.float32))


def grey(pixels: NDArray[np.uint8]) -> Grey:
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]  # noqa: PLR2004


def brought_near(page: Grey) -> tuple[Grey, float]:
    """The page with at most `LOOKED_AT` pixels, a small one enlarged; and its scale."""
    scale = min(ENLARGED, (LOOKED_AT / page.size) ** 0.5)
    if 1 < scale < ENLARGED:
        return page, 1.0
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    width, height = (max(1, round(side * scale)) for side in (page.shape[1], page.shape[0]))
    return cv2.resize(page, (width, height), interpolation=method), scale  # type: ignore[return-value]


def shrunk(page: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """By areas, so that no thin stroke falls between the pixels; of a page that is a mere line, a pixel is left."""
    sides = [round(side * factor) for side in (page.shape[1], page.shape[0])]
    if min(sides) < 1:
        return cv2.resize(page, [max(1, side) for side in sides], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
    return cv2.resize(page, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def ink(page: Grey) -> Grey:
    """1 where there is ink, by Sauvola's local threshold: light may change over the page."""
    values = _stretched(page).astype(np.float32)
    mean = cv2.boxFilter(values, -1, (WINDOW, WINDOW))
    level = np.asarray(cv2.sqrBoxFilter(values, -1, (WINDOW, WINDOW)), np.float32)
    level -= mean * mean  # in place: new memory for each step takes as long as the step
    np.sqrt(np.maximum(level, 0, out=level), out=level)
    level /= RANGE
    level -= 1
    level *= SENSITIVITY
    level += 1
    level *= mean
    return (values < level).view(np.uint8)


def _stretched(page: Grey) -> Grey:
    """A faint page from black to white, but for the extremes; a page of one grey stays as it is."""
    share = np.cumsum(cv2.calcHist([page], [0], None, [256], [0, 256]), dtype=np.float64) / page.size
    low, high = int(np.searchsorted(share, 0.002)), int(np.searchsorted(share, 0.998))
    if not FAINTEST <= high - low < FULL:
        return page
    table = np.clip((np.arange(256) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return cv2.LUT(page, table)  # type: ignore[return-value]


def glyphs(mask: Grey) -> Glyphs:
    """The letters in a mask of ink: neither specks nor lines nor pictures, and of about the commonest size."""
    return among(components(mask), *mask.shape)


def components(mask: Grey) -> Components:
    """Everything in a mask of ink that hangs together."""
    _, _, found, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(found[1:], np.int32)


def among(found: Components, height: int, width: int) -> Glyphs:
    """The letters among what hangs together on a page of this size."""
    boxes, area = found[:, :4].astype(np.float32), found[:, 4]
    side, extent = boxes[:, 2:].max(axis=1), boxes[:, 2] * boxes[:, 3]
    solid = (area >= 2 * SMALLEST) & (area > 0.08 * extent)
    likely = boxes[solid & (side >= SMALLEST) & (side < min(height, width) * LARGEST)]
    size = _commonest(likely[:, 2:].max(axis=1))
    side = likely[:, 2:].max(axis=1)
    letters = likely[(side > 0.5 * size) & (side < 2.5 * size)]
    return Glyphs(letters, width, height, size)


def _commonest(sides: NDArray[np.float32]) -> float:
    """The mode on a logarithmic scale, each weighted by its size, so that specks do not outvote letters."""
    if len(sides) < FEWEST:
        return 0.0
    votes, edges = np.histogram(np.log2(sides), bins=np.arange(1.75, 9.125, 0.125), weights=sides)
    smooth = np.convolve(votes, [0.25, 0.5, 0.25], "same")
    return float(2 ** (edges[smooth.argmax()] + 0.0625))
