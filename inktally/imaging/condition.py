"""The condition that a page is in, and what helps.

Ink and paper: which is the darker one, and how even the light is that falls on the paper. Noise: a median helps against
salt and pepper, a slight blur against grain.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import WINDOW, Glyphs, Grey, shrunk

LIGHT_INK = 0.3  # skewness above which the ink is taken to be lighter than the paper
UNEVEN = 0.8  # the darkest paper below letters over the brightest; below this engines lose words
WHITE = 245  # what paper becomes then
REACH = 3.0  # letter sizes over which paper shows between the letters
COARSE_LETTER = 8.0  # pixels of a letter, to which a page is shrunk to look at its paper
STANDS_OUT = 60  # grey levels by which a pixel of salt or pepper differs from all its neighbours
EXTREME = 16  # grey levels from black or white within which salt and pepper lie
PEPPERED = 0.002  # share of such pixels; halftones on clean pages have up to half of it
GRAINY = 16.0  # standard deviation in grey levels; engines do not mind less
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


def skewness(page: Grey) -> float:
    """Of the grey levels against their surroundings: below 0 where dark ink stands on light paper."""
    values = page.astype(np.float32)
    difference = values - cv2.boxFilter(values, -1, (WINDOW, WINDOW))
    square = difference * difference
    variance = float(square.mean())
    square *= difference
    return float(square.mean() / max(variance, 1.0) ** 1.5)


def paper(page: Grey, size: float) -> Grey:
    """The page without its letters of that size, at a scale at which they have `COARSE_LETTER` pixels or fewer."""
    scale = min(1.0, COARSE_LETTER / size)
    coarse = shrunk(page, scale)
    reach = max(3, int(REACH * size * scale)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    closed = cv2.morphologyEx(cv2.medianBlur(coarse, 3), cv2.MORPH_CLOSE, kernel)
    return cv2.GaussianBlur(closed, (0, 0), reach / 2)  # type: ignore[return-value]


def evenness(ground: Grey, glyphs: Glyphs) -> float:
    """The darkest paper below letters (its 2nd percentile) over the brightest (the 98th); 1 where there are none."""
    if not len(glyphs):
        return 1.0
    height, width = ground.shape
    places = (glyphs.centres * (width / glyphs.width, height / glyphs.height)).astype(int)
    levels = ground[np.clip(places[:, 1], 0, height - 1), np.clip(places[:, 0], 0, width - 1)]
    dark, bright = np.percentile(levels, [2, 98])
    return float(dark / max(bright, 1.0))


def evened(page: Grey, ground: Grey) -> Grey:
    """The page as if the same light fell on all of its paper; what is darker than its paper stays so in proportion."""
    full = cv2.resize(ground, (page.shape[1], page.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.divide(page, full, scale=WHITE)  # type: ignore[return-value]


class Noise(NamedTuple):
    """The share of pixels that are salt or pepper, and the standard deviation of the grain in grey levels."""

    specks: float
    grain: float

    @property
    def remedy(self) -> Literal["", "median", "blur"]:
        if self.specks > PEPPERED:
            return "median"
        return "blur" if self.grain > GRAINY else ""


def noise(page: Grey) -> Noise:
    """Measured on the middle of the page at full size, a quarter of its area."""
    height, width = page.shape
    middle = page[height // 4 : height - height // 4, width // 4 : width - width // 4]
    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    pepper = (cv2.subtract(cv2.erode(middle, ring), middle) > STANDS_OUT) & (middle < EXTREME)
    salt = (cv2.subtract(middle, cv2.dilate(middle, ring)) > STANDS_OUT) & (middle > 255 - EXTREME)
    response = np.abs(cv2.filter2D(middle, cv2.CV_32F, LAPLACIAN))
    grain = float(np.median(response[::2, ::2])) / (6 * 0.6745)  # J. Immerkaer's measure, by the median
    return Noise(float(np.mean(pepper | salt)), grain)


def denoised(pixels: NDArray[np.uint8], remedy: Literal["median", "blur"]) -> NDArray[np.uint8]:
    if remedy == "median":
        return cv2.medianBlur(pixels, 3)  # type: ignore[return-value]
    return cv2.GaussianBlur(pixels, (0, 0), 1.0)  # type: ignore[return-value]
