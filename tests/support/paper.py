"""Pictures and PDFs of text, made for tests."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pikepdf
from PIL import Image, ImageDraw, ImageFont

A4 = (595, 842)  # points
VISIBLE, INVISIBLE = 0, 3
LINES = tuple(f"Line number {number} tells of many small things" for number in range(1, 31))


def picture(text: str = "Hello patient reader", size: tuple[int, int] = (900, 200)) -> Image.Image:
    """Black on white, grey."""
    made = Image.new("L", size, "white")
    ImageDraw.Draw(made).multiline_text((40, 60), text, fill="black", font=ImageFont.load_default(60))
    return made


def typed(lines: Sequence[str], mode: int = VISIBLE, top: int = 780, size: int = 12) -> str:
    """What a PDF's page says to have lines of text typed on it, downwards from `top`; an empty one leaves a gap."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    return f"BT /F1 {size} Tf {size * 1.3} TL {mode} Tr 60 {top} Td {shown} ET\n"


def pdf(path: Path, *contents: str, scan: Image.Image | None = None, **page: object) -> Path:
    """A PDF of A4 pages with these contents, each over a scan that fills the page, if there is one."""
    with pikepdf.new() as file:
        for content in contents:
            made = file.add_blank_page(page_size=A4)
            font = pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
            )
            made.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=file.make_indirect(font)))
            drawn = ""
            if scan is not None:
                made.Resources.XObject = pikepdf.Dictionary(Im1=_image(file, scan))
                drawn = f"q {A4[0]} 0 0 {A4[1]} 0 0 cm /Im1 Do Q "
            made.Contents = file.make_stream((drawn + content).encode("cp1252"))
            for key, value in page.items():
                made[f"/{key}"] = value
        file.save(path)
    return path


def _image(file: pikepdf.Pdf, scan: Image.Image) -> pikepdf.Object:
    jpeg = BytesIO()
    scan.save(jpeg, "JPEG")
    return file.make_stream(
        jpeg.getvalue(),
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=scan.width,
        Height=scan.height,
        ColorSpace=pikepdf.Name.DeviceGray,
        BitsPerComponent=8,
        Filter=pikepdf.Name.DCTDecode,
    )
