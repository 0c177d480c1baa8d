"""The text that a page of a PDF holds: its characters as pdfium gives them, in words."""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from ctypes import c_size_t, c_uint, c_void_p, cast, create_string_buffer
from dataclasses import dataclass, field
from math import pi
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

Edges = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the picture."""
Place = Callable[[Edges], Edges]
"""From left, bottom, right, top in points of the page to pixels."""

HYPHENS = frozenset((0x02, 0xFFFE))  # what pdfium makes of a hyphen at the end of a line
LINE_ENDS = frozenset(b"\r\n")
BROKEN = frozenset(("Cc", "Cn", "Co", "Cs"))  # categories of characters that no text has
REPLACEMENT = "\ufffd"
LONGEST_NAME = 256  # bytes of the name of a font
UNPAINTED = frozenset((pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium_c.FPDF_TEXTRENDERMODE_CLIP))
SMALLER, RAISED = 0.85, 0.2  # of the height of a line: at most so high, and at least so far above, is a superscript


class Style(NamedTuple):
    """What the characters of one text object share: font, direction (quarters clockwise), their line's box, and paint.

    `font` begins with a letter where it names a font that the file brings, on all pages; else it names one of this
    page. `paint` is the grey level of their fill, 0 to 255; None when they are not painted at all.
    """

    font: str
    quarters: int
    room: Edges
    paint: int | None


@dataclass
class TextRun:
    """Characters without space between them, their boxes, the height of their line, and whether they begin it.

    `quarters` tells how far it is turned clockwise on the picture; `broken`, how many of its characters mean nothing.
    """

    style: Style
    text: str = ""
    boxes: list[Edges] = field(default_factory=list)
    fonts: list[str] = field(default_factory=list)
    starts_line: bool = False
    broken: int = 0

    @property
    def box(self) -> Edges:
        return around(self.boxes)

    @property
    def room(self) -> Edges:
        return self.style.room


def around(boxes: list[Edges]) -> Edges:
    """The smallest box that holds all of them."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def shapes_of(run: TextRun) -> list[tuple[tuple[str, str], float]]:
    """The letters and digits of a word, each with its font before it, and its shape: its width over its height.

    Those that are not drawn one by one, as the two that one ligature stands for, have none.
    """
    if len(run.text) != len(run.boxes):
        return []
    boxes = [upright(box, run.style.quarters) for box in run.boxes]
    shapes = []
    neighbours = zip([None, *boxes], [*boxes[1:], None], strict=False)
    for font, letter, box, others in zip(run.fonts, run.text, boxes, neighbours, strict=False):
        if letter.isalnum() and box not in others:
            left, top, right, bottom = box
            shapes.append(((font, letter), (right - left) / max(bottom - top, 1e-6)))
    return shapes


def upright(box: Edges, quarters: int) -> Edges:
    """The box once what is turned so far clockwise has been turned back: only for comparing boxes with each other."""
    for _ in range(quarters % 4):
        box = box[1], -box[2], box[3], -box[0]
    return box


def runs_of(page: pdfium.PdfPage, positions: pdfium.PdfPosConv, check: Callable[[int, int], None]) -> Iterator[TextRun]:
    """The page's text, in the order in which the file gives it. `check` raises for too many words and characters."""
    with closing(page.get_textpage()) as textpage:
        characters = textpage.count_chars()
        check(0, characters)
        runs = _TextPass(textpage, _to_pixels(page, positions), page.get_rotation() // 90).all()
        for number, run in enumerate(runs, 1):
            check(number, characters)
            yield run


def _to_pixels(page: pdfium.PdfPage, positions: pdfium.PdfPosConv) -> Place:
    """Pages may be turned: three corners tell how."""
    width, height = page.get_size()
    (x0, y0), (x1, y1), (x2, y2) = (positions.to_bitmap(*corner) for corner in ((0, 0), (width, 0), (0, height)))
    ax, ay, bx, by = (x1 - x0) / width, (y1 - y0) / width, (x2 - x0) / height, (y2 - y0) / height

    def convert(points: Edges) -> Edges:
        left, bottom, right, top = points
        x = sorted((x0 + left * ax + bottom * bx, x0 + right * ax + top * bx))
        y = sorted((y0 + left * ay + bottom * by, y0 + right * ay + top * by))
        return x[0], y[0], x[1], y[1]

    return convert


class _TextPass:
    """One pass over the characters of a page. What is dear to ask of pdfium is asked once for each text object."""

    def __init__(self, textpage: pdfium.PdfTextPage, place: Place, turn: int) -> None:
        self._textpage = textpage
        self._place = place
        self._turn = turn
        self._object = 0
        self._style = Style("", 0, (0, 0, 0, 0), None)
        self._fonts: dict[int, str] = {}

    def all(self) -> Iterator[TextRun]:
        run: TextRun | None = None
        last = self._style
        starts_line = True
        for index in range(self._textpage.count_chars()):
            code = pdfium_c.FPDFText_GetUnicode(self._textpage, index)
            if chr(code).isspace():
                if run:
                    yield run
                    run, starts_line = None, False
                starts_line |= code in LINE_ENDS
                continue
            style = self._style_of(index, is_first=run is None)
            if run and style is not last and _is_apart(run, style, chr(code)):
                yield run
                run = TextRun(style)
            run = run or TextRun(style, starts_line=starts_line)
            last, starts_line = style, False
            self._add(run, index, code)
            run.fonts.append(style.font)
            if code in HYPHENS:
                yield run
                run, starts_line = None, True
        if run:
            yield run

    def _style_of(self, index: int, *, is_first: bool) -> Style:
        shown = pdfium_c.FPDFText_GetTextObject(self._textpage, index)
        address = _address(shown)
        if is_first or address != self._object:
            self._object = address
            room = self._place(self._textpage.get_charbox(index, loose=True))
            angle = pdfium_c.FPDFText_GetCharAngle(self._textpage, index)
            quarters = round(max(0.0, angle) / (pi / 2))
            font = pdfium_c.FPDFTextObj_GetFont(shown)
            name = self._fonts.get(_address(font)) or self._fonts.setdefault(_address(font), _font_name(font))
            self._style = Style(name, (quarters + self._turn) % 4, room, _paint(shown))
        return self._style

    def _add(self, run: TextRun, index: int, code: int) -> None:
        """The character as it is to be read; nothing for one that is broken."""
        character = "-" if code in HYPHENS else chr(code)
        is_broken = character == REPLACEMENT or unicodedata.category(character) in BROKEN
        run.broken += is_broken or pdfium_c.FPDFText_HasUnicodeMapError(self._textpage, index) == 1
        run.text += "" if is_broken else character
        run.boxes.append(self._place(self._edges(index)))

    def _edges(self, index: int) -> Edges:
        """The ink of a character; its advance and its line's height for fonts that have no ink."""
        left, bottom, right, top = self._textpage.get_charbox(index)
        if right > left and top > bottom:
            return left, bottom, right, top
        loose: Edges = self._textpage.get_charbox(index, loose=True)
        return loose


def _address(handle: object) -> int:
    return cast(handle, c_void_p).value or 0  # type: ignore[arg-type]  # pdfium's handles are pointers


def _font_name(font: object) -> str:
    name, length = create_string_buffer(LONGEST_NAME), c_size_t()
    pdfium_c.FPDFFont_GetBaseFontName(font, name, LONGEST_NAME)
    text = name.value.decode("utf-8", "replace")
    pdfium_c.FPDFFont_GetFontData(font, None, 0, length)
    is_embedded = pdfium_c.FPDFFont_GetIsEmbedded(font) == 1 and text[:1].isalpha()
    return f"{text} {length.value}" if is_embedded and length.value else f"{_address(font)} {text}"


def _paint(shown: object) -> int | None:
    mode = pdfium_c.FPDFTextObj_GetTextRenderMode(shown)
    red, green, blue, alpha = (c_uint() for _ in range(4))
    pdfium_c.FPDFPageObj_GetFillColor(shown, red, green, blue, alpha)
    if mode in UNPAINTED or not alpha.value:
        return None
    return round(0.299 * red.value + 0.587 * green.value + 0.114 * blue.value)


def _is_apart(run: TextRun, style: Style, character: str) -> bool:
    """Whether a superscript or a footnote mark begins here, or ends. In 1st the letters belong to the number."""
    if run.text.isdigit() and character.isalpha():
        return False
    before, after = upright(run.room, run.style.quarters), upright(style.room, style.quarters)
    height, next_height = before[3] - before[1], after[3] - after[1]
    larger = max(height, next_height)
    raised = (before[3] - after[3]) * (1 if height > next_height else -1)
    return min(height, next_height) <= SMALLER * larger and raised >= RAISED * larger
