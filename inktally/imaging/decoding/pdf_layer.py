"""The text that a page of a PDF holds: its characters as pdfium gives them, and whether they can be believed."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from numpy.typing import NDArray

from inktally.imaging.page import PageImage

Edges = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the picture."""

HYPHENS = frozenset((0x02, 0xFFFE))  # what pdfium makes of a hyphen at the end of a line
LINE_ENDS = frozenset(b"\r\n")
BROKEN = frozenset(("Cc", "Cn", "Co", "Cs"))  # categories of characters that no text has
REPLACEMENT = "\ufffd"

MOST_BROKEN = 0.2  # of the characters
LEAST_ALPHANUMERIC = 0.2  # of the characters; contents with their dots have a third
LEAST_INK = 0.5  # of the page's, inside the words
BANDS, LEAST_BANDS, LEAST_WORDS = 40, 10, 30
"""Text in so many of the parts of a page's height is no stamp and no watermark."""
LEAST_SCAN = 0.5  # of the page that pictures cover
STRIDE, MARGIN = 3, 6  # pixels
CONTRAST = 64  # grey levels between ink and paper


@dataclass
class TextRun:
    """Characters without space between them, their boxes, the height of their line, and whether they begin it."""

    text: str = ""
    boxes: list[Edges] = field(default_factory=list)
    room: Edges = (0, 0, 0, 0)
    starts_line: bool = False

    @property
    def box(self) -> Edges:
        left, top, right, bottom = zip(*self.boxes, strict=True)
        return min(left), min(top), max(right), max(bottom)


@dataclass
class Layer:
    """All text of a page that lies on its picture, and how many of its characters are broken, or invisible."""

    runs: list[TextRun]
    characters: int = 0
    broken: int = 0
    invisible: int = 0


def layer_of(
    page: pdfium.PdfPage,
    textpage: pdfium.PdfTextPage,
    positions: pdfium.PdfPosConv,
    image: PageImage,
    check: Callable[[int, int], None],
) -> Layer:
    """The page's text, in the order in which the file gives it. `check` raises for too many words and characters."""
    layer, characters = Layer(runs=[]), textpage.count_chars()
    for number, run in enumerate(_runs(textpage, _to_pixels(page, positions), layer), 1):
        check(number, characters)
        left, top, right, bottom = run.box
        if 0 <= left + right <= 2 * image.width and 0 <= top + bottom <= 2 * image.height:
            layer.runs.append(run)
    return layer


def _to_pixels(page: pdfium.PdfPage, positions: pdfium.PdfPosConv) -> Callable[[Edges], Edges]:
    """From left, bottom, right, top in points to pixels. Pages may be turned: three corners tell how."""
    width, height = page.get_size()
    (x0, y0), (x1, y1), (x2, y2) = (positions.to_bitmap(*corner) for corner in ((0, 0), (width, 0), (0, height)))
    ax, ay, bx, by = (x1 - x0) / width, (y1 - y0) / width, (x2 - x0) / height, (y2 - y0) / height

    def convert(points: Edges) -> Edges:
        left, bottom, right, top = points
        x = sorted((x0 + left * ax + bottom * bx, x0 + right * ax + top * bx))
        y = sorted((y0 + left * ay + bottom * by, y0 + right * ay + top * by))
        return x[0], y[0], x[1], y[1]

    return convert


def _runs(textpage: pdfium.PdfTextPage, to_pixels: Callable[[Edges], Edges], layer: Layer) -> Iterator[TextRun]:
    run = TextRun(starts_line=True)
    for index in range(textpage.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(textpage, index)
        if chr(code).isspace():
            if run.boxes:
                yield run
                run = TextRun()
            run.starts_line |= code in LINE_ENDS
            continue
        if not run.boxes:
            run.room = to_pixels(textpage.get_charbox(index, loose=True))
        run.text += _character(textpage, index, code, layer)
        run.boxes.append(to_pixels(_edges(textpage, index)))
        if code in HYPHENS:
            yield run
            run = TextRun(starts_line=True)
    if run.boxes:
        yield run


def _character(textpage: pdfium.PdfTextPage, index: int, code: int, layer: Layer) -> str:
    """The character as it is to be read, which is counted in `layer`; nothing for one that is broken."""
    character = "-" if code in HYPHENS else chr(code)
    is_unmapped = pdfium_c.FPDFText_HasUnicodeMapError(textpage, index) == 1
    is_broken = character == REPLACEMENT or unicodedata.category(character) in BROKEN
    layer.characters += 1
    layer.broken += is_unmapped or is_broken
    mode = pdfium_c.FPDFTextObj_GetTextRenderMode(pdfium_c.FPDFText_GetTextObject(textpage, index))
    layer.invisible += mode == pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE
    return "" if is_broken else character


def _edges(textpage: pdfium.PdfTextPage, index: int) -> Edges:
    """The ink of a character; its advance and its line's height for fonts that have no ink."""
    left, bottom, right, top = textpage.get_charbox(index)
    if right > left and top > bottom:
        return left, bottom, right, top
    loose: Edges = textpage.get_charbox(index, loose=True)
    return loose


def is_real(layer: Layer, page: pdfium.PdfPage, image: PageImage) -> bool:
    """Whether the layer is the page's text, and neither garbage nor a stamp on a page that holds other text.

    When in doubt it is not: then the page is read as a picture, and what is visible of the layer with it.
    """
    text = "".join(run.text for run in layer.runs)
    alphanumeric = sum(character.isalnum() for character in text)
    if not alphanumeric or alphanumeric < LEAST_ALPHANUMERIC * len(text):
        return False
    if layer.broken > MOST_BROKEN * layer.characters:
        return False
    is_ocr = layer.invisible > layer.characters / 2
    if _is_spread(layer, image) and (is_ocr or not _is_scan(page)):
        return True
    return _share_of_ink(layer, image) >= LEAST_INK


def _is_spread(layer: Layer, image: PageImage) -> bool:
    bands = {int(BANDS * (run.box[1] + run.box[3]) / 2 / image.height) for run in layer.runs}
    return len(layer.runs) >= LEAST_WORDS and len(bands) >= LEAST_BANDS


def _is_scan(page: pdfium.PdfPage) -> bool:
    """Whether pictures cover most of the page."""
    width, height = page.get_size()
    pictures = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    covered = 0.0
    for picture in pictures:
        left, bottom, right, top = picture.get_bounds()
        covered += max(0.0, min(right - left, width)) * max(0.0, min(top - bottom, height))
    return bool(covered >= LEAST_SCAN * width * height)


def _share_of_ink(layer: Layer, image: PageImage) -> float:
    """How much of all that differs from the paper lies within the words."""
    sample = image.pixels[::STRIDE, ::STRIDE]
    grey: NDArray[np.int16] = (sample if sample.ndim == 2 else sample[:, :, 1]).astype(np.int16)  # noqa: PLR2004
    ink = np.abs(grey - int(np.median(grey))) > CONTRAST
    in_words = np.zeros(ink.shape, bool)
    for left, top, right, bottom in (run.box for run in layer.runs):
        rows = slice(max(0, int(top - MARGIN) // STRIDE), int(bottom + MARGIN) // STRIDE + 1)
        columns = slice(max(0, int(left - MARGIN) // STRIDE), int(right + MARGIN) // STRIDE + 1)
        in_words[rows, columns] = True
    total = int(ink.sum())
    return int((ink & in_words).sum()) / total if total else 0.0
