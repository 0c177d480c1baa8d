"""PDF, by pdfium: pages rendered as a scanner would have seen them, and the text that they hold themselves."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from numpy.typing import NDArray

from inktally.errors import TooLarge, UnreadablePicture
from inktally.imaging.decoding.document import LONGEST_SIDE, DecodedPage, Limits, blamed_on, check_count, check_text
from inktally.imaging.decoding.pdf_layer import Edges, TextRun, runs_of
from inktally.imaging.decoding.pdf_shown import Shown, looked_at, without_text
from inktally.imaging.glyphs import Boxes
from inktally.imaging.page import PageImage

POINTS = 72  # per inch; what PDF measures in
DPI = 300
LEAST_DPI = 20  # a page that is rendered with less is a map or a joke
SMALLEST_SIDE, LARGEST_SIDE = POINTS / DPI, 1_000_000.0  # points; the former is a pixel
A4_SIDE, SMALL_SIDE = 842, 420  # points; a page smaller than A6 may have a unit of its own, which pdfium does not tell
LEAST_COVER = 0.5  # of a page, by the picture whose pixels decide how finely it is drawn
ENOUGH_DPI = 195  # of a scan of about 200; a coarser one is enlarged while it is drawn
UNROUNDED = 1 - 1e-5  # so that a page of 1653.99 pixels does not become one of 1655
CHECKED_AT = 2 / 3  # of the resolution of the picture; enough to see what is painted, and to read some words
MARGIN = 40  # pixels around what is read besides the words


class Pdf:
    """A PDF file, until it is closed."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Raises `UnreadablePicture`, `TooLarge`."""
        self._limits = limits
        _forget_errors()
        try:
            self._file = pdfium.PdfDocument(path)
        except pdfium.PdfiumError as error:
            raise _unopened(error) from error
        try:
            self._check_pages()
            self._file.init_forms()
        except BaseException:
            self._file.close()
            raise

    def _check_pages(self) -> None:
        check_count(self.page_count, self._limits)
        if not self.page_count:
            raise UnreadablePicture("The PDF has no pages, or is damaged; save it again.")

    def close(self) -> None:
        self._file.close()

    @property
    def page_count(self) -> int:
        return len(self._file)

    @contextmanager
    def opened(self, number: int) -> Iterator[pdfium.PdfPage]:
        """One page; whatever pdfium raises is its fault."""
        with blamed_on(number):
            page = self._file[number - 1]
            try:
                yield page
            finally:
                page.close()

    def page(self, number: int) -> DecodedPage:
        """One page, rendered. Characters are counted before: that it is drawn takes longer the more there are."""
        with self.opened(number) as page:
            if self._limits.max_page_words:
                with closing(page.get_textpage()) as text:
                    check_text(0, text.count_chars(), number, self._limits)
            dpi = _dpi(page, number, self._limits)
            return DecodedPage(image=PageImage(_drawn(page, dpi, may_be_grey=True), round(dpi)))

    def layer(self, number: int) -> PdfLayer | None:
        """The text that the file holds for the page; None where there is none. Raises `TooLarge` for too much."""
        with self.opened(number) as page:
            dpi = _dpi(page, number, self._limits)
            width, height = (ceil(side * dpi / POINTS) for side in page.get_size())
            check = partial(check_text, number=number, limits=self._limits)
            runs = list(runs_of(page, pdfium.PdfPosConv(page, (0, 0, width, height, 0)), check))
        layer = PdfLayer(self, number, width, height, dpi, runs)
        return layer if any(run.text or run.broken for run in runs) else None


@dataclass(frozen=True)
class PdfLayer:
    """The text that a file holds for page `number`, whose picture has this size in pixels."""

    document: Pdf = field(repr=False)
    number: int
    width: int
    height: int
    dpi: float
    runs: Sequence[TextRun] = field(repr=False)

    def look(self) -> Shown:
        """What the page shows of its text, and besides."""
        with self.document.opened(self.number) as page:
            return looked_at(page, self.runs, CHECKED_AT, self.dpi)

    def picture(self) -> PageImage:
        return self.document.page(self.number).image

    def rest(self, shown: Shown, believed: set[int], unread: Boxes) -> tuple[PageImage, int, int]:
        """What the page shows besides the believed words: the part with the unread letters, and where that begins from
        the left and the top, in pixels."""
        with self.document.opened(self.number) as page:
            full = _drawn(page, self.dpi) if len(shown.lost) else None
            without_text(page)
            pixels = _drawn(page, self.dpi)
        if full is not None:
            for place in map(_place, shown.lost):
                pixels[place] = full[place]
        for number in believed:
            if shown.sights[number] == "beneath":
                _wipe(pixels, self.runs[number].box)
        left, top = (max(0, int(edge) - MARGIN) for edge in unread[:, :2].min(axis=0))
        right, bottom = (int(edge) + MARGIN for edge in (unread[:, :2] + unread[:, 2:]).max(axis=0))
        return PageImage(np.ascontiguousarray(pixels[top:bottom, left:right]), round(self.dpi)), left, top


def _place(box: NDArray[np.float32]) -> tuple[slice, slice]:
    left, top, width, height = box.round().astype(int)
    return slice(max(0, top - 3), top + height + 3), slice(max(0, left - 3), left + width + 3)


def _drawn(page: pdfium.PdfPage, dpi: float, *, may_be_grey: bool = False) -> NDArray[np.uint8]:
    """In colours, unless it may be grey and is: then it is read faster."""
    bitmap = page.render(scale=dpi / POINTS, rev_byteorder=True, limit_image_cache=True)
    try:
        pixels = bitmap.to_numpy()
        return np.array(pixels[:, :, 0] if may_be_grey and _is_grey(pixels) else pixels[:, :, :3])
    finally:
        bitmap.close()


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    red, green, blue = (pixels[:, :, channel] for channel in range(3))
    few = np.s_[:: len(pixels) // 64 or 1]  # most pages with colours have some there
    return all(np.array_equal(red[rows], other[rows]) for rows in (few, np.s_[:]) for other in (green, blue))


def _wipe(pixels: NDArray[np.uint8], box: Edges) -> None:
    """In the colour of what is around it."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    place = pixels[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4]
    if place.size:
        edges = np.concatenate([place[0], place[-1], place[:, 0], place[:, -1]])
        place[:] = np.median(edges, axis=0).astype(np.uint8)


def _dpi(page: pdfium.PdfPage, number: int, limits: Limits) -> float:
    """300, or as many as the limits leave. Raises `PictureError`.

    A scan is drawn with the pixels that it has. A small page may be a large one in units of its own: it is drawn with
    the pixels of the picture that covers it, or as large as A4.
    """
    width, height = page.get_size()
    if min(width, height) < SMALLEST_SIDE or max(width, height) >= LARGEST_SIDE:
        raise UnreadablePicture(f"Page {number} has no size that can be; save the PDF again.")
    longest = max(width, height)
    wanted = float(DPI)
    if longest < A4_SIDE:
        as_a4 = DPI * A4_SIDE / longest
        wanted = min(as_a4, max(wanted, _own_dpi(page) or (as_a4 if longest < SMALL_SIDE else wanted)))
    if ENOUGH_DPI <= (scanned := _scanned_dpi(page)) < wanted:
        wanted = scanned
    by_area = sqrt(0.99 * limits.max_pixels / (width * height)) * POINTS  # sizes are rounded up
    by_side = (LONGEST_SIDE - 1) / longest * POINTS
    dpi: float = min(wanted, by_area, by_side)
    if dpi < LEAST_DPI:
        inches = f"{width / POINTS:,.0f} x {height / POINTS:,.0f} inches"
        raise TooLarge(f"Page {number} is {inches}, too large to be drawn so that it can be read; scale it down.")
    return dpi


def _scanned_dpi(page: pdfium.PdfPage) -> float:
    """Of the finest picture on a page that consists of pictures, one of which covers most of it; 0: there is more."""
    objects = page.get_objects(max_depth=3)
    if not all(each.type in (pdfium_c.FPDF_PAGEOBJ_IMAGE, pdfium_c.FPDF_PAGEOBJ_FORM) for each in objects):
        return 0.0
    return _own_dpi(page) and max(_own_dpi(page), _own_dpi(page, 0.0)) * UNROUNDED


def _own_dpi(page: pdfium.PdfPage, cover: float = LEAST_COVER) -> float:
    """Of the finest picture that covers so much of the page; 0: there is none."""
    width, height = page.get_size()
    finest: float = 0.0
    for picture in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = picture.get_bounds()
        if (right - left) * (top - bottom) > cover * width * height:
            across, down = picture.get_px_size()
            finest = max(finest, max(across, down) / max(right - left, top - bottom) * POINTS)
    return finest


def _forget_errors() -> None:
    """pdfium keeps its last error, and some files fail without a new one: a password would be asked for them too."""
    missing = pdfium_c.FPDF_LoadDocument(ctypes.create_string_buffer(b""), None)
    assert not missing, "no file has an empty name"


def _unopened(error: pdfium.PdfiumError) -> UnreadablePicture:
    if re.search("password|security", str(error), re.IGNORECASE):
        return UnreadablePicture("The PDF is protected by a password; remove that, or print the PDF to a new one.")
    return UnreadablePicture("The PDF is damaged; save it again, or print it to a new one.")
