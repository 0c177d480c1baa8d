"""How noisy a page is, and what helps: a median for salt and pepper, a slight blur for grain."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Grey

STANDS_OUT = 60  # grey levels by which a pixel of salt or pepper differs from all its neighbours
EXTREME = 16  # grey levels from black or white within which salt and pepper lie
PEPPERED = 0.002  # share of such pixels; halftones on clean pages have up to half of it
GRAINY = 16.0  # standard deviation in grey levels; engines do not mind less
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


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
