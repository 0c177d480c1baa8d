"""From a decoded Pillow picture of any mode to the eight bits, grey or RGB, that everything after it expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

BAND = 512  # rows that are converted at once, so that memory holds a page once, and not once for each conversion
SAMPLE = 1_000_000  # pixels, enough to know the extremes of a page by
OUTLIERS = 0.01  # per cent of the pixels at each end that may be dead or hot
LEAST_CONTRAST = 0.05  # of the brightest; what has less is noise on blank paper, which is not stretched
PHOTOMETRIC, MIN_IS_WHITE = 262, 0  # in TIFF

TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda page: page[:, ::-1],
    3: lambda page: page[::-1, ::-1],
    4: lambda page: page[::-1],
    5: lambda page: page.swapaxes(0, 1),
    6: lambda page: page[::-1].swapaxes(0, 1),
    7: lambda page: page[::-1, ::-1].swapaxes(0, 1),
    8: lambda page: page.swapaxes(0, 1)[::-1],
}
"""What makes a page upright that a camera or scanner stored in one of EXIF's orientations."""


def to_pixels(picture: Image.Image) -> Pixels:
    """Grey or RGB. What is transparent becomes white, as paper is; more than eight bits are stretched to what is used.

    The picture's orientation is left as it is.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        return _stretched(picture)
    is_grey = picture.mode in {"1", "L", "LA", "La"}
    shape = (picture.height, picture.width) if is_grey else (picture.height, picture.width, 3)
    pixels = np.empty(shape, np.uint8)
    for rows, band in _bands(picture):
        pixels[rows] = np.asarray(_on_white(band).convert("L" if is_grey else "RGB"))
    return pixels


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """The page as it is to be seen, by its EXIF orientation (1 to 8; others mean nothing)."""
    turn = TURNS.get(orientation)
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def _bands(picture: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for top in range(0, picture.height, BAND):
        bottom = min(top + BAND, picture.height)
        yield slice(top, bottom), picture.crop((0, top, picture.width, bottom))


def _on_white(band: Image.Image) -> Image.Image:
    if not band.has_transparency_data:
        return band
    if band.mode == "La":
        band = band.convert("LA")
    rgba = band.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)


def _stretched(picture: Image.Image) -> Pixels:
    """Sixteen-bit and float greys."""
    low, high = _range(picture)
    is_negative = getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == MIN_IS_WHITE
    pixels = np.empty((picture.height, picture.width), np.uint8)
    for rows, band in _bands(picture):
        deep = np.nan_to_num(np.asarray(band).astype(np.float32), nan=high, posinf=high, neginf=low)
        eight = np.clip((deep - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
        pixels[rows] = 255 - eight if is_negative else eight
    return pixels


def _range(picture: Image.Image) -> tuple[float, float]:
    """The values that become black and white: the extremes of what is there, without outliers."""
    step = max(1, round((picture.width * picture.height / SAMPLE) ** 0.5))
    bands = [np.asarray(band)[::step, ::step].astype(np.float64).ravel() for _, band in _bands(picture)]
    sample = np.concatenate(bands)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.percentile(sample, (OUTLIERS, 100 - OUTLIERS)))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    if high - low <= LEAST_CONTRAST * max(abs(low), abs(high)):
        low = min(0.0, low)
    return low, high if high > low else low + 1.0
