"""A font for the text layers of PDFs: it has a glyph for everything, and none leaves a mark."""

from collections.abc import Iterator
from io import BytesIO

import regex
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream, String

EM = 1000  # units of a font are thousandths of its size
GLYPH_WIDTH = EM // 2
MOST_GLYPHS = 65_535
LONGEST_CLUSTER = 8  # code points that one glyph may stand for; what more marks there are get glyphs of their own
MAPPINGS_AT_ONCE = 100  # of a block of a CMap, says its specification


class InklessFont:
    """A font for any text in one PDF: each cluster of a letter and its marks is a glyph, half as wide as high.

    `encode` all that is written with it, then `finish`: only then is it known which glyphs there must be.
    """

    def __init__(self, pdf: Pdf) -> None:
        self._pdf = pdf
        self._glyphs: dict[str, int] = {}
        self.resource = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type0))

    def encode(self, text: str) -> tuple[str, int]:
        """The text as a string of a content stream, and the number of its glyphs."""
        most = MOST_GLYPHS  # numbered from 1; should there ever be more, the last stands for all that remain
        codes = [self._glyphs.setdefault(each, min(len(self._glyphs) + 1, most)) for each in _clusters(text)]
        return f"<{''.join(f'{code:04X}' for code in codes)}>", len(codes)

    def finish(self) -> None:
        """Write the font with all that was encoded."""
        self.resource.BaseFont = Name.Inkless
        self.resource.Encoding = Name("/Identity-H")
        self.resource.DescendantFonts = Array([self._descendant()])
        self.resource.ToUnicode = Stream(self._pdf, self._to_unicode())

    def _descendant(self) -> Object:
        descriptor = Dictionary(
            Type=Name.FontDescriptor,
            FontName=Name.Inkless,
            Flags=5,  # fixed pitch, symbolic
            FontBBox=[0, 0, GLYPH_WIDTH, EM],
            ItalicAngle=0,
            Ascent=EM,
            Descent=0,
            CapHeight=EM,
            StemV=80,
            FontFile2=Stream(self._pdf, _font_file()),
        )
        font = Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=Name.Inkless,
            CIDSystemInfo=Dictionary(Registry=String("Adobe"), Ordering=String("Identity"), Supplement=0),
            FontDescriptor=self._pdf.make_indirect(descriptor),
            DW=GLYPH_WIDTH,
            CIDToGIDMap=Stream(self._pdf, b"\0\0" + b"\0\1" * min(len(self._glyphs), MOST_GLYPHS)),
        )
        return self._pdf.make_indirect(font)

    def _to_unicode(self) -> bytes:
        """A CMap; each glyph's text is in UTF-16, so that programs find letters of any script."""
        mappings = [
            f"<{code:04X}> <{cluster.encode('utf-16-be').hex().upper()}>" for cluster, code in self._glyphs.items()
        ][:MOST_GLYPHS]
        blocks = [mappings[at : at + MAPPINGS_AT_ONCE] for at in range(0, len(mappings), MAPPINGS_AT_ONCE)]
        lines = [
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            "1 begincodespacerange <0000> <FFFF> endcodespacerange",
            *(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks),
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
        return "\n".join(lines).encode("ascii")


def _clusters(text: str) -> Iterator[str]:
    for cluster in regex.findall(r"\X", text):
        for start in range(0, len(cluster), LONGEST_CLUSTER):
            yield cluster[start : start + LONGEST_CLUSTER]


def _font_file() -> bytes:
    """A TrueType font of two glyphs, neither of which leaves a mark; its text is what the CMap says.

    Their outline goes from corner to corner and back: it has no area to fill, but readers see how large a letter is
    (PDFium leaves text out whose letters have no extent, as soon as it is turned).
    """
    glyphs = [".notdef", "inkless"]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((GLYPH_WIDTH, EM))
    pen.closePath()
    outline = pen.glyph()
    builder = FontBuilder(EM, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({ord(" "): "inkless"})
    builder.setupGlyf(dict.fromkeys(glyphs, outline))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (GLYPH_WIDTH, 0)))
    builder.setupHorizontalHeader(ascent=EM, descent=0)
    builder.setupNameTable({"familyName": "Inkless", "styleName": "Regular", "psName": "Inkless"})
    builder.setupOS2(sTypoAscender=EM, usWinAscent=EM, usWinDescent=0)
    builder.setupPost(isFixedPitch=1)
    builder.updateHead(created=0, modified=0)
    file = BytesIO()
    builder.font.recalcTimestamp = False
    builder.save(file)
    return file.getvalue()
