"""Files of pixels, by Pillow and libheif: every format but PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from math import isfinite
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from inktally.errors import UnreadablePicture
from inktally.imaging.decoding.document import DecodedPage, Limits, blamed_on, check_count, check_size
from inktally.imaging.decoding.pixels import to_pixels, upright
from inktally.imaging.page import PageImage

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
HEIF = ("HEIF",)
SUBFILE_TYPE, PREVIEW_OR_MASK = 254, 0b101  # of a TIFF's page: a smaller version of another, or its transparency
LEAST_DPI, MOST_DPI = 100, 1200
"""Programs write 1, 72 or 96 when they know nothing; and 1200 dpi are more than any scanner of pages has."""
MOST_SKEW = 1.1  # between the dpi of the two axes


class Raster:
    """The pages of a TIFF, or the one picture of any other file: of animations and bursts the one that is shown."""

    def __init__(self, path: Path, limits: Limits, formats: tuple[str, ...] = FORMATS) -> None:
        """Looks at every page's header. Raises `TooLarge`, `UnreadablePicture`."""
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
            del picture  # its pixels, before they are copied once more
            return DecodedPage(image=PageImage(upright(pixels, orientation), dpi))


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
            if not _tag(picture, SUBFILE_TYPE) & PREVIEW_OR_MASK or not pages:
                check_size(*picture.size, len(pages) + 1, limits)
                pages.append(frame)
                check_count(len(pages), limits)
            frame += 1
    return pages


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
