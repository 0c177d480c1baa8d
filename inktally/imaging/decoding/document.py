"""From the bytes of a stranger to pages of pixels: limits first, then one page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inktally.imaging.decoding.formats import Kind, kind_of
from inktally.imaging.decoding.page import DecodedPage, Document, Limits

__all__ = ["DecodedPage", "Document", "Limits", "open_document"]


@contextmanager
def open_document(path: Path, limits: Limits) -> Iterator[Document]:
    """The document in a file; its headers have been looked at, its pages are decoded when they are asked for.

    Raises `PictureError`. Decoders are imported when they are needed: callers in a parent process need none.
    """
    kind = kind_of(path)
    if kind is Kind.PDF:
        from inktally.imaging.decoding.pdf import Pdf

        with Pdf(path, limits) as document:
            yield document
    else:
        from inktally.imaging.decoding.raster import Raster, open_heif

        yield open_heif(path, limits) if kind is Kind.HEIF else Raster(path, limits)
