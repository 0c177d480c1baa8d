"""Files of pixels, by Pillow and libheif: every format but PDF.

A decoded picture may be of any of Pillow's modes; what comes out has the eight bits, grey or RGB, that everything after
it expects.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from inktally.errors import UnreadablePicture
from inktally.imaging.decoding.damage import damage_of
from inktally.imaging.decoding.document import DecodedPage, Limits, blamed_on, check_count, check_size
from inktally.imaging.page import PageImage

Pixels = NDArray[np.uint8]

BAND = 512  # rows that are converted at once, so that memory holds a page once, and not once for each conversion
SAMPLE = 1_000_000  # pixels, enough to know the extremes of a page by
OUTLIERS = 0.01  # per cent of the pixels at each end that may be dead or hot
LEAST_CONTRAST = 0.05  # of the brightest; what has less is noise on blank paper, which is not stretched
GROUNDS = (255, 0, 128)  # grey levels that may lie below a transparent picture, the likeliest first
HALF, MOST_LETTERS = 127, 0.5  # opaque; and the share of a picture up to which what is opaque are letters, not paper
FAINT = 5  # per cent of the ink that may hardly differ from its ground
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

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
HEIF = ("HEIF",)
SUBFILE_TYPE, PREVIEW_OR_MASK = 254, 0b101  # of a TIFF's page: a smaller version of another, or its transparency
OLD_SUBFILE_TYPE, OLD_PREVIEW = 255, 2  # the same before 1992
LEAST_DPI, MOST_DPI = 100, 1200
"""Programs write 1, 72 or 96 when they know nothing; and 1200 dpi are more than any scanner of pages has."""
MOST_SKEW = 1.1  # between the dpi of the two axes


class Raster:
    """The pages of a TIFF, or the one picture of any other file: of animations and bursts the one that is shown."""

    def __init__(self, path: Path, limits: Limits, formats: tuple[str, ...] = FORMATS) -> None:
        """Looks at every page's header. Raises `TooLarge`, `UnreadablePicture`."""
        self._path = path
        self._open = partial(_opened, path, formats)
        self._limits = limits
        self._frames = _frames(self._open, limits)

    @property
    def page_count(self) -> int:
        return len(self._frames)

    def page(self, number: int) -> DecodedPage:
        """The file is opened anew each time, so that nothing of a page stays in memory."""
        with blamed_on(number):
            with self._open() as picture:
                if picture.tell() != self._frames[number - 1]:
                    picture.seek(self._frames[number - 1])
                check_size(*picture.size, number, self._limits)
                dpi = _dpi(picture)
                Image.MAX_IMAGE_PIXELS = self._limits.max_pixels  # for frames larger than their picture
                picture.load()
                check_size(*picture.size, number, self._limits)
                orientation = _orientation(picture)
                pixels = to_pixels(picture)
                damage = damage_of(self._path, picture, self._frames[number - 1])
            del picture  # its pixels, before they are copied once more
            return DecodedPage(image=PageImage(upright(pixels, orientation), dpi), damage=damage)

    def layer(self, number: int) -> None:
        """Files of pixels hold no text."""


def open_heif(path: Path, limits: Limits) -> Raster:
    """A file that libheif decodes; the picture alone, in one thread."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return Raster(path, limits, HEIF)


@contextmanager
def _opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Not by its name: Pillow would map the file into memory, and get turned TIFFs wrong."""
    Image.MAX_IMAGE_PIXELS = None  # our own limits are checked as soon as the size is known
    with path.open("rb") as file:
        try:
            picture = Image.open(file, formats=formats)
        except UnidentifiedImageError as error:
            raise UnreadablePicture(
                "The picture's header is damaged or of a rare kind; save it again as PNG, or scan the page once more."
            ) from error
        with picture:
            yield picture


def _frames(opened: Callable[[], AbstractContextManager[Image.Image]], limits: Limits) -> list[int]:
    """The numbers of the frames that are pages; from headers alone, and of no more than the limit and one."""
    with blamed_on(1), opened() as picture:
        check_size(*picture.size, 1, limits)
        if not isinstance(picture, TiffImageFile):
            return [picture.tell()]
    pages: list[int] = []
    with opened() as picture:
        frame = 0
        while _is_there(picture, frame, len(pages) + 1):
            if not _is_preview_or_mask(picture):
                check_size(*picture.size, len(pages) + 1, limits)
                pages.append(frame)
                check_count(len(pages), limits)
            frame += 1
    return pages or [0]


def _is_preview_or_mask(picture: Image.Image) -> bool:
    """Of another page, wherever it stands; cameras and scanners like to put a small one before the large."""
    return bool(_tag(picture, SUBFILE_TYPE) & PREVIEW_OR_MASK) or _tag(picture, OLD_SUBFILE_TYPE) == OLD_PREVIEW


def _is_there(picture: Image.Image, frame: int, number: int) -> bool:
    with blamed_on(number):
        try:
            picture.seek(frame)
        except EOFError:
            return False
        return True


def _tag(picture: Image.Image, tag: int) -> int:
    value = getattr(picture, "tag_v2", {}).get(tag, 0)
    return value if isinstance(value, int) else 0


def _orientation(picture: Image.Image) -> int:
    """Of the pixels as they are now: Pillow turns TIFFs, and libheif its pictures, while they are loaded."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - broken EXIF is common, and breaks Pillow in many ways
        return 1


def _dpi(picture: Image.Image) -> int:
    """What the file states; 0 when that cannot be believed."""
    try:
        across, down = (float(axis) for axis in picture.info["dpi"])
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return 0
    least, most = min(across, down), max(across, down)
    is_square = isfinite(most) and least > 0 and most / least <= MOST_SKEW
    return round(most) if is_square and least >= LEAST_DPI and most <= MOST_DPI else 0


def to_pixels(picture: Image.Image) -> Pixels:
    """Grey or RGB. What is transparent becomes paper; more than eight bits are stretched to what is used.

    The picture's orientation is left as it is.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        return _stretched(picture)
    is_grey = picture.mode in {"1", "L", "LA", "La"}
    shape = (picture.height, picture.width) if is_grey else (picture.height, picture.width, 3)
    pixels, ground = np.empty(shape, np.uint8), _ground(picture)
    for rows, band in _bands(picture):
        pixels[rows] = np.asarray(_on(ground, band).convert("L" if is_grey else "RGB"))
    return pixels


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """The page as it is to be seen, by its EXIF orientation (1 to 8; others mean nothing)."""
    turn = TURNS.get(orientation)
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def _bands(picture: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for top in range(0, picture.height, BAND):
        bottom = min(top + BAND, picture.height)
        yield slice(top, bottom), picture.crop((0, top, picture.width, bottom))


def _ground(picture: Image.Image) -> int:
    """The grey of the paper below a transparent picture: white, unless that hides letters that stand on nothing."""
    if not picture.has_transparency_data:
        return GROUNDS[0]
    step = max(1, round((picture.width * picture.height / SAMPLE) ** 0.5))
    small = picture.resize((-(-picture.width // step), -(-picture.height // step)), Image.Resampling.NEAREST)
    opaque = np.asarray(_rgba(small).getchannel("A")) > HALF
    if not opaque.any() or opaque.mean() > MOST_LETTERS:
        return GROUNDS[0]
    inks = np.asarray(_rgba(small).convert("L"))[opaque].astype(np.int16)
    return max(GROUNDS, key=lambda ground: float(np.percentile(abs(inks - ground), FAINT)))


def _on(ground: int, band: Image.Image) -> Image.Image:
    if not band.has_transparency_data:
        return band
    rgba = _rgba(band)
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (ground, ground, ground, 255)), rgba)


def _rgba(picture: Image.Image) -> Image.Image:
    return (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")


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
