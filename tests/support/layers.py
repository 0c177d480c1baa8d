"""PDF pages whose text layer says other than they show, of the kinds that people complain about."""

from __future__ import annotations

import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pikepdf
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont
from pikepdf import Array, Dictionary, Name
from PIL import Image, ImageDraw, ImageFont

from tests.support.paper import A4, INVISIBLE, typed

SERIF = "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"
SANS = "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"  # as wide as Helvetica
PROSE = (
    "The miller of the lower valley kept a careful book", "of all the grain that passed his patient wheel",
    "Every evening he would sit beside the quiet sluice", "and write how many sacks the farmers had brought",
    "Some of them paid in silver and others in flour", "The weather was noted in the margin with a pencil",
    "When spring returned the river carried broken ice", "and children gathered on the bridge to watch it",
    "The schoolmaster borrowed the book for a winter", "and copied several pages in a beautiful hand",
    "Nobody remembers where the original was buried", "Perhaps a nephew sold it with the kitchen chairs",
)  # fmt: skip
WORDS = " ".join(PROSE).lower().split()
Page = pikepdf.Page


def body(lines: tuple[str, ...] = PROSE, mode: int = 0, font: str = "F1") -> str:
    return typed(lines, mode, top=760, size=14).replace("/F1", f"/{font}")


def scan(lines: tuple[str, ...] = PROSE, dpi: int = 200) -> Image.Image:
    """A page as a scanner sees it, its lines where `body` has them."""
    scale = dpi / 72
    page = Image.new("L", (round(A4[0] * scale), round(A4[1] * scale)), 250)
    font = ImageFont.truetype(SANS, round(14 * scale))
    for number, line in enumerate(lines):
        baseline = (A4[1] - 760 + number * 14 * 1.3) * scale
        ImageDraw.Draw(page).text((60 * scale, baseline), line, fill=20, font=font, anchor="ls")
    return page


class Sheet:
    """A page under way; `save` writes it as the only one of a file."""

    def __init__(self) -> None:
        self.pdf = pikepdf.new()
        self.page = self.pdf.add_blank_page(page_size=A4)
        self.page.Resources = Dictionary(Font=Dictionary(), XObject=Dictionary())
        self.font("F1")
        self._contents: list[str] = []

    def font(self, name: str, **entries: object) -> Sheet:
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, **entries)
        self.page.Resources.Font[f"/{name}"] = self.pdf.make_indirect(font)
        return self

    def draw(self, content: str) -> Sheet:
        self._contents.append(content)
        return self

    def picture(self, image: Image.Image, left: float, bottom: float, width: float, height: float) -> Sheet:
        jpeg = BytesIO()
        image.convert("RGB").save(jpeg, "JPEG", quality=92)
        name = f"/Im{len(self.page.Resources.XObject)}"
        self.page.Resources.XObject[name] = self.pdf.make_stream(
            jpeg.getvalue(), Type=Name.XObject, Subtype=Name.Image, Width=image.width, Height=image.height,
            ColorSpace=Name.DeviceRGB, BitsPerComponent=8, Filter=Name.DCTDecode,
        )  # fmt: skip
        return self.draw(f"q {width} 0 0 {height} {left} {bottom} cm {name} Do Q")

    def annotated(self, subtype: str, text: str, **entries: object) -> Sheet:
        """With an annotation or a filled field that shows the text."""
        shown = f"BT /F1 14 Tf 0 g 4 6 Td ({text}) Tj ET".encode()
        look = self.pdf.make_stream(shown, Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 300, 24])
        look.Resources = Dictionary(Font=self.page.Resources.Font)
        made = Dictionary(Type=Name.Annot, Subtype=Name(f"/{subtype}"), F=4, Rect=[60, 300, 360, 324], **entries)
        made.AP, made.P = Dictionary(N=look), self.page.obj
        annotation = self.pdf.make_indirect(made)
        self.page.Annots = Array([annotation])
        if subtype == "Widget":
            self.pdf.Root.AcroForm = Dictionary(Fields=Array([annotation]))
        return self

    def save(self, path: Path, **entries: object) -> Path:
        for key, value in entries.items():
            self.page[f"/{key}"] = value
        self.page.Contents = self.pdf.make_stream("\n".join(self._contents).encode("latin-1"))
        self.pdf.save(path)
        return path


def to_unicode(pdf: pikepdf.Pdf, meaning: Callable[[str], str]) -> pikepdf.Object:
    """A CMap that says of each printable character what `meaning` makes of it."""
    codes = [chr(code) for code in (*range(1, 5), *range(33, 127))]
    rows = "\n".join(f"<{ord(code):02X}> <{meaning(code).encode('utf-16-be').hex()}>" for code in codes)
    return pdf.make_stream(
        f"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        f"1 begincodespacerange <00> <FF> endcodespacerange\n{len(codes)} beginbfchar\n{rows}\nendbfchar\n"
        "endcmap end end".encode()
    )


def shifted(character: str) -> str:
    """The letter that follows by eleven places."""
    if not character.isalpha():
        return character
    first = ord("a" if character.islower() else "A")
    return chr(first + (ord(character) - first + 11) % 26)


def misread(text: str, share: float, seed: int) -> str:
    """As an old engine reads it: so many of the words have a wrong letter."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    wrong = {"e": "c", "a": "u", "h": "li", "m": "rn", "i": "l", "o": "c", "t": "f", "r": "i", "d": "cl", "s": "a"}
    return " ".join(
        word.replace(letter, wrong[letter], 1)
        if chance.random() < share and (letter := next((each for each in word[1:] if each in wrong), ""))
        else word
        for word in text.split(" ")
    )


class _Outlines(BasePen):
    """Glyphs as operators of a content stream."""

    def __init__(self, glyphs: object) -> None:
        super().__init__(glyphs)
        self.operators: list[str] = []

    def _moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802 - fontTools names it
        self.operators.append(f"{point[0]} {point[1]} m")

    def _lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802 - fontTools names it
        self.operators.append(f"{point[0]} {point[1]} l")

    def _curveToOne(self, *points: tuple[float, float]) -> None:  # noqa: N802 - fontTools names it
        self.operators.append(" ".join(f"{x} {y}" for x, y in points) + " c")

    def _closePath(self) -> None:  # noqa: N802 - fontTools names it
        self.operators.append("h")


def outlined(text: str, left: float, baseline: float, size: float) -> str:
    """Text as its outlines, which say nothing."""
    font = TTFont(SERIF)
    glyphs, names, unit = font.getGlyphSet(), font.getBestCmap(), font["head"].unitsPerEm
    content, x = ["q 0 g"], left
    for character in text:
        pen, glyph = _Outlines(glyphs), glyphs[names[ord(character)]]
        glyph.draw(pen)
        scale = size / unit
        content.append(f"q {scale} 0 0 {scale} {x} {baseline} cm {' '.join(pen.operators)} f Q")
        x += glyph.width * scale
    return "\n".join([*content, "Q"])


def ocr_layer(lines: tuple[str, ...], path: Path) -> Path:
    """A scan of `PROSE` with these lines laid under it, invisibly."""
    return Sheet().picture(scan(), 0, 0, *A4).draw(body(lines, INVISIBLE)).save(path)
