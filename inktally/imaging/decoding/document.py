"""From the bytes of a stranger to pages of pixels: limits first, then one page at a time.

Decoders are imported when they are needed: callers in a parent process need none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from inktally.document import Value
from inktally.errors import InktallyError, TooLarge, UnreadablePicture
from inktally.imaging.decoding.formats import Kind, kind_of
from inktally.scratch import is_disk_full

if TYPE_CHECKING:
    from inktally.imaging.decoding.pdf import PdfLayer
    from inktally.imaging.page import PageImage

LONGEST_SIDE = 32_767  # pixels; Tesseract takes no more, nor does OpenCV when it turns a page
CHARACTERS_PER_WORD = 10  # on the average of a page; languages have 5 to 7, and a blank


class Limits(Value):
    """What a picture may have at most: pixels of one page, pages, and words of one page.

    Without `max_page_words` only the pixels are wanted, and nobody looks for text.
    """

    max_pixels: int
    max_pages: int
    max_page_words: int = 0


@dataclass(frozen=True)
class DecodedPage:
    """The pixels of one page, and what is missing of them: empty where it was decoded whole."""

    image: PageImage
    damage: str = ""


class Document(Protocol):
    """A file of pages, none of which is decoded before it is asked for, and none of which is kept."""

    @property
    def page_count(self) -> int: ...

    def page(self, number: int) -> DecodedPage:
        """One page; numbers start at 1. Raises `PictureError` when it cannot be read."""

    def layer(self, number: int) -> PdfLayer | None:
        """The text that the file holds for a page; None where there is none. Raises as `page` does."""


@contextmanager
def open_document(path: Path, limits: Limits) -> Iterator[Document]:
    """The document in a file; its headers have been looked at, its pages are decoded when they are asked for.

    Raises `PictureError`.
    """
    kind = kind_of(path)
    if kind is Kind.PDF:
        from inktally.imaging.decoding.pdf import Pdf

        with closing(Pdf(path, limits)) as document:
            yield document
    else:
        from inktally.imaging.decoding.raster import Raster, open_heif

        yield open_heif(path, limits) if kind is Kind.HEIF else Raster(path, limits)


def check_size(width: int, height: int, number: int, limits: Limits) -> None:
    """Raises `UnreadablePicture` for a page without pixels, `TooLarge` for one with too many."""
    if not width or not height:
        raise UnreadablePicture(f"Page {number} has no pixels; save the picture again.")
    if width * height > limits.max_pixels or max(width, height) > LONGEST_SIDE:
        raise TooLarge(
            f"Page {number} is {width} x {height} pixels; at most {limits.max_pixels:,} pixels and "
            f"{LONGEST_SIDE:,} on a side are read. Scale it down; 300 dpi is enough."
        )


def check_text(words: int, characters: int, number: int, limits: Limits) -> None:
    """Raises `TooLarge` for a page with too many words, or with words that are too long."""
    most = limits.max_page_words
    if words > most or characters > CHARACTERS_PER_WORD * most:
        raise TooLarge(
            f"Page {number} has more than {most:,} words, or {CHARACTERS_PER_WORD * most:,} characters "
            "(INKTALLY_MAX_PAGE_WORDS); send it in parts."
        )


def check_count(pages: int, limits: Limits) -> None:
    """Raises `TooLarge` when there are too many pages."""
    if pages > limits.max_pages:
        raise TooLarge(f"The picture has more than {limits.max_pages} pages; send it in parts.")


@contextmanager
def blamed_on(number: int) -> Iterator[None]:
    """Whatever a decoder raises is the fault of page `number`, unless memory or the disk has run out."""
    try:
        yield
    except (InktallyError, MemoryError):
        raise
    except Exception as error:
        if is_disk_full(error):
            raise
        said = " ".join(str(error).split())
        reason = said if said and "/" not in said else type(error).__name__  # strangers learn no path of ours
        raise UnreadablePicture(
            f"Page {number} is truncated, damaged or of a rare kind ({reason}); send it again, or save it anew as PNG."
        ) from error
