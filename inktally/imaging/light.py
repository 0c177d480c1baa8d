"""Ink and paper: which is the darker one, and how even the light is that falls on the paper."""

import cv2
import numpy as np

from inktally.imaging.glyphs import WINDOW, Glyphs, Grey

LIGHT_INK = 0.3  # skewness above which the ink is taken to be lighter than the paper
UNEVEN = 0.8  # the darkest paper below letters over the brightest; below this engines lose words
WHITE = 245  # what paper becomes then
REACH = 3.0  # letter sizes over which paper shows between the letters
COARSE_LETTER = 8.0  # pixels of a letter, to which a page is shrunk to look at its paper


def skewness(page: Grey) -> float:
    """Of the grey levels against their surroundings: below 0 where dark ink stands on light paper."""
    values = page.astype(np.float32)
    difference = values - cv2.boxFilter(values, -1, (WINDOW, WINDOW))
    square = difference * difference
    variance = float(square.mean())
    return float((square * difference).mean() / max(variance, 1.0) ** 1.5)


def paper(page: Grey, size: float) -> Grey:
    """The page without its letters of that size, at a scale at which they have `COARSE_LETTER` pixels or fewer."""
    scale = min(1.0, COARSE_LETTER / size)
    coarse = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
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
