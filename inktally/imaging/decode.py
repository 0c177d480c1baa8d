"""From the bytes of a stranger to pages of pixels: limits first, then one page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, ImageSequence, UnidentifiedImageError
from PIL.TiffImagePlugin import AppendingTiffWriter

from inktally.document import Value
from inktally.errors import EmptyPicture, NotAPicture, PictureError, TooLarge, UnreadablePicture, UnsupportedFormat
from inktally.imaging.decode_formats import Kind, kind_of
from inktally.imaging.decode_page import LONGEST_SIDE, DecodedPage, Document, Limits

__all__ = ["DecodedPage", "Document", "Limits", "open_document"]


@contextmanager
def open_document(path: Path, limits: Limits) -> Iterator[Document]:
    """The document in a file; its headers have been looked at, its pages are decoded when they are asked for.

    Raises `PictureError`. Decoders are imported when they are needed: callers in a parent process need none.
    """
    kind = kind_of(path)
    if kind is Kind.PDF:
        from inktally.imaging.pdf import Pdf

        with Pdf(path, limits) as document:
            yield document
    else:
        from inktally.imaging.decode_raster import Raster, open_heif

        yield open_heif(path, limits) if kind is Kind.HEIF else Raster(path, limits)


# What follows is Tesseract's old way to pictures, until its engine is built on open_document.

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
READ_AS_THEY_ARE = frozenset({"PNG", "JPEG", "TIFF"})
PLAIN_MODES = frozenset({"1", "L", "RGB"})

FOREIGN_FORMATS = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP or an Office document",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x1f\x8b": "gzip",
    b"8BPS": "Photoshop",
}
FOREIGN_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}
PICTURE_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8", b"RIFF", b"BM", b"\0\0\0\x0cjP")


class Readable(Value):
    """A file that Tesseract reads rightly, and how many pages it should find there."""

    path: Path
    pages: int


def readable(path: Path, limits: Limits, folder: Path, *, always_copy: bool = False) -> Readable:
    """A file with the same pages that Tesseract reads rightly: `path` itself, or a copy made in `folder`.

    Every page is decoded once, so that a broken one is told from a page without text. Raises `PictureError`.
    """
    Image.MAX_IMAGE_PIXELS = None  # our own limits are checked, for every page, before it is decoded
    with _opened(path) as picture:
        if picture.format in READ_AS_THEY_ARE and not always_copy:
            plain = [_is_plain(page) for page in _pages(picture, limits)]
            if all(plain):
                return Readable(path=path, pages=len(plain))
        target = folder / "readable.tiff"
        return Readable(path=target, pages=_copy(_pages(picture, limits), target))


def _copy(pages: Iterator[Image.Image], target: Path) -> int:
    """Write the pages to a TIFF, one at a time, so that memory holds one page of however many; their number."""
    number = 0
    with AppendingTiffWriter(target) as tiff:
        for number, page in enumerate(pages, 1):  # noqa: B007 - the last one is told
            _on_white(page).save(tiff, format="TIFF", compression="packbits")
            tiff.newFrame()
    return number


def _opened(path: Path) -> Image.Image:
    if path.stat().st_size == 0:
        raise EmptyPicture("The file is empty; send it again, the upload was probably cut off.")
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unidentified(path) from error
    except Exception as error:
        raise _unreadable(error) from error


def _unidentified(path: Path) -> NotAPicture | UnsupportedFormat | UnreadablePicture:
    with path.open("rb") as file:
        head = file.read(16)
    foreign = FOREIGN_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
    foreign = foreign or next((name for magic, name in FOREIGN_FORMATS.items() if head.startswith(magic)), None)
    if foreign:
        return UnsupportedFormat(f"The file is {foreign}, which is not read yet; send PNG, JPEG or TIFF.")
    if head.startswith(PICTURE_SIGNATURES):
        return UnreadablePicture("The picture's header is damaged; save it again, or scan the page once more.")
    return NotAPicture("The file is no picture; send PNG, JPEG, TIFF, WebP, BMP, GIF or JPEG 2000.")


def _pages(picture: Image.Image, limits: Limits) -> Iterator[Image.Image]:
    """The pages, decoded, one at a time. Of animations only the first frame counts."""
    number = 0
    try:
        picture.seek(0)
        for number, page in enumerate(ImageSequence.Iterator(picture), 1):
            _check_size(page, number, limits)
            page.load()
            yield page
            if picture.format != "TIFF":
                return
    except PictureError:
        raise
    except Exception as error:
        raise _unreadable(error, number) from error


def _check_size(page: Image.Image, number: int, limits: Limits) -> None:
    if number > limits.max_pages:
        raise TooLarge(f"The picture has more than {limits.max_pages} pages; send it in parts.")
    width, height = page.size
    if not width or not height:
        raise UnreadablePicture(f"Page {number} has no pixels; save the picture again.")
    if width * height > limits.max_pixels or max(width, height) > LONGEST_SIDE:
        raise TooLarge(
            f"Page {number} is {width} x {height} pixels; at most {limits.max_pixels:,} pixels and "
            f"{LONGEST_SIDE:,} on a side are read. Scale it down; 300 dpi is enough."
        )


def _unreadable(error: Exception, page: int = 1) -> UnreadablePicture:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UnreadablePicture(
        f"Page {page} is truncated or damaged ({reason}); send the picture again, or save it anew first."
    )


def _is_plain(page: Image.Image) -> bool:
    upright = page.getexif().get(ExifTags.Base.Orientation, 1) == 1
    return page.mode in PLAIN_MODES and "transparency" not in page.info and upright


def _on_white(page: Image.Image) -> Image.Image:
    """An upright bilevel, grey or RGB copy; what is transparent becomes white, as paper is."""
    page = ImageOps.exif_transpose(page)
    mode = page.mode if page.mode in {"1", "L"} else "RGB"
    if page.mode.startswith("I") or page.mode == "F":
        return _stretched(page)
    if not page.has_transparency_data:
        return page if page.mode == mode else page.convert(mode)
    rgba = page.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(paper, rgba).convert("RGB")


def _stretched(page: Image.Image) -> Image.Image:
    """Sixteen-bit and float greys, stretched from their extremes to eight bits."""
    grey = page.convert("F")
    low, high = grey.getextrema()
    scale = 255.0 / (high - low) if high > low else 1.0  # type: ignore[operator]
    return grey.point(lambda value: value * scale - low * scale).convert("L")  # type: ignore[operator]
