"""PDF, by pdfium: pages rendered as a scanner would have seen them, and the text that they hold themselves."""

import re
from contextlib import closing
from functools import partial
from math import sqrt
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium

from inktally.errors import TooLarge, UnreadablePicture
from inktally.imaging.decoding.document import LONGEST_SIDE, DecodedPage, Limits, blamed_on, check_count, check_text
from inktally.imaging.decoding.pdf_layer import is_real, layer_of
from inktally.imaging.decoding.pdf_text import text_of
from inktally.imaging.page import PageImage

POINTS = 72  # per inch; what PDF measures in
DPI = 300
LEAST_DPI = 20  # a page that is rendered with less is a map or a joke
SMALLEST_SIDE, LARGEST_SIDE = POINTS / DPI, 1_000_000.0  # points; the former is a pixel


class Pdf:
    """A PDF file, until it is closed."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Raises `UnreadablePicture`, `TooLarge`."""
        self._limits = limits
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

    def page(self, number: int) -> DecodedPage:
        """One page, rendered; its text when that is what stands on the page."""
        with blamed_on(number):
            page = self._file[number - 1]
            try:
                return self._decoded(page, number)
            finally:
                page.close()

    def _decoded(self, page: pdfium.PdfPage, number: int) -> DecodedPage:
        """Characters are counted before anything is drawn: that a page is drawn takes longer the more there are."""
        if not self._limits.max_page_words:
            return DecodedPage(image=self._drawn(page, number)[0])
        check = partial(check_text, number=number, limits=self._limits)
        with closing(page.get_textpage()) as textpage:
            check(0, textpage.count_chars())
            image, positions = self._drawn(page, number)
            layer = layer_of(page, textpage, positions, image, check)
            return DecodedPage(image=image, text=text_of(layer, number, image) if is_real(layer, page, image) else None)

    def _drawn(self, page: pdfium.PdfPage, number: int) -> tuple[PageImage, pdfium.PdfPosConv]:
        """The page's picture, and what leads from places on the page to its pixels."""
        width, height = page.get_size()
        dpi = _dpi(width, height, number, self._limits)
        bitmap = page.render(scale=dpi / POINTS, rev_byteorder=True, limit_image_cache=True)
        image = PageImage(np.array(bitmap.to_numpy()[:, :, :3]), round(dpi))
        positions = bitmap.get_posconv(page)
        bitmap.close()
        return image, positions


def _dpi(width: float, height: float, number: int, limits: Limits) -> float:
    """300, or as many as the limits leave for a page of so many points. Raises `PictureError`."""
    if min(width, height) < SMALLEST_SIDE or max(width, height) >= LARGEST_SIDE:
        raise UnreadablePicture(f"Page {number} has no size that can be; save the PDF again.")
    by_area = sqrt(0.99 * limits.max_pixels / (width * height)) * POINTS  # sizes are rounded up
    by_side = (LONGEST_SIDE - 1) / max(width, height) * POINTS
    dpi = min(float(DPI), by_area, by_side)
    if dpi < LEAST_DPI:
        inches = f"{width / POINTS:,.0f} x {height / POINTS:,.0f} inches"
        raise TooLarge(f"Page {number} is {inches}, too large to be drawn so that it can be read; scale it down.")
    return dpi


def _unopened(error: pdfium.PdfiumError) -> UnreadablePicture:
    if re.search("password|security", str(error), re.IGNORECASE):
        return UnreadablePicture("The PDF is protected by a password; remove that, or print the PDF to a new one.")
    return UnreadablePicture("The PDF is damaged; save it again, or print it to a new one.")
