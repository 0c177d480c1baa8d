"""Small files that become large: what a stranger may send to fill memory, or to keep a reader busy."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO

import pikepdf
from PIL import Image, PngImagePlugin

A4 = (595, 842)
WORD = b"lorem "
TIFF_ENTRY = struct.Struct("<HHII")


def pdf(*contents: bytes, size: tuple[float, float] = A4, share: int = 1) -> bytes:
    """A page for each content, with a font /F; `share` pages for each that have the same one."""
    with pikepdf.Pdf.new() as made:
        resources = made.make_indirect({"/Font": {"/F": _font()}})
        for content in contents:
            stream = made.make_stream(content)
            for _ in range(share):
                page = {"/Type": pikepdf.Name.Page, "/MediaBox": [0, 0, *size], "/Resources": resources}
                made.pages.append(pikepdf.Page(made.make_indirect(pikepdf.Dictionary(page | {"/Contents": stream}))))
        return _saved(made)


def _font(name: str = "/Helvetica") -> pikepdf.Dictionary:
    return pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name(name))


def _saved(made: pikepdf.Pdf) -> bytes:
    target = BytesIO()
    made.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=True, linearize=False)
    return target.getvalue()


def words(number: int, per_line: int = 100, word: bytes = WORD) -> bytes:
    """So many words as a page shows them."""
    lines, rest = divmod(number, per_line)
    line = b"(" + word * per_line + b") ' "
    return b"BT /F 1 Tf 1 TL 10 800 Td " + line * lines + b"(" + word * rest + b") ' ET"


def one_page_of_words(number: int = 400_000) -> bytes:
    """4 kB that are 400,000 words."""
    return pdf(words(number))


def pages_that_share_words(pages: int = 30, number: int = 40_000) -> bytes:
    return pdf(words(number), share=pages)


def one_word(characters: int = 2_000_000) -> bytes:
    return pdf(b"BT /F 0.01 Tf 10 800 Td " + (b"(" + b"x" * 1000 + b") Tj ") * (characters // 1000) + b"ET")


def tiny_page(side: float = 0.0001) -> bytes:
    return pdf(words(10), size=(side, side))


def forms_in_forms(depth: int = 9, each: int = 10) -> bytes:
    """Each form shows the next one ten times: a thousand million words at the bottom."""
    with pikepdf.Pdf.new() as made:
        content, resources = words(10), pikepdf.Dictionary(Font=pikepdf.Dictionary(F=_font()))
        for _ in range(depth):
            form = made.make_stream(content, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form)
            form.BBox, form.Resources = pikepdf.Array([0, 0, *A4]), resources
            content, resources = b"/X Do " * each, pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=form))
        page = pikepdf.Dictionary(Type=pikepdf.Name.Page, MediaBox=[0, 0, *A4], Resources=resources)
        page.Contents = made.make_stream(content)
        made.pages.append(pikepdf.Page(made.make_indirect(page)))
        return _saved(made)


def form_that_shows_itself() -> bytes:
    with pikepdf.Pdf.new() as made:
        form = made.make_stream(b"/X Do /X Do " + words(10), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form)
        form.BBox = pikepdf.Array([0, 0, *A4])
        form.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=_font()), XObject=pikepdf.Dictionary(X=form))
        page = pikepdf.Dictionary(Type=pikepdf.Name.Page, MediaBox=[0, 0, *A4], Resources=form.Resources)
        page.Contents = made.make_stream(b"/X Do")
        made.pages.append(pikepdf.Page(made.make_indirect(page)))
        return _saved(made)


def many_fonts(number: int = 30_000) -> bytes:
    """A page that writes one letter in each."""
    with pikepdf.Pdf.new() as made:
        fonts = pikepdf.Dictionary({f"/F{each}": made.make_indirect(_font()) for each in range(number)})
        content = b"BT 10 800 Td " + b"".join(b"/F%d 1 Tf (x ) Tj " % each for each in range(number)) + b"ET"
        page = pikepdf.Dictionary(Type=pikepdf.Name.Page, MediaBox=[0, 0, *A4], Resources={"/Font": fonts})
        page.Contents = made.make_stream(content)
        made.pages.append(pikepdf.Page(made.make_indirect(page)))
        return _saved(made)


def pdf_of_brackets(depth: int = 5_000_000) -> bytes:
    """Content of arrays in arrays."""
    return pdf(b"[" * depth + b" TJ")


def pdf_of_curves(number: int = 5_000_000) -> bytes:
    """Content that only draws."""
    return pdf(b"0 0 m " + b"9 9 1 2 500 700 c " * number + b"S")


def pdf_with_a_picture(width: int = 30_000, height: int = 30_000) -> bytes:
    """One of 900 million pixels, on a page of paper."""
    with pikepdf.Pdf.new() as made:
        picture = made.make_stream(bytes(width * height // 8), Subtype=pikepdf.Name.Image, Width=width, Height=height)
        picture.ColorSpace, picture.BitsPerComponent, picture.Type = pikepdf.Name.DeviceGray, 1, pikepdf.Name.XObject
        page = pikepdf.Dictionary(Type=pikepdf.Name.Page, MediaBox=[0, 0, *A4], Resources={"/XObject": {"/P": picture}})
        page.Contents = made.make_stream(b"595 0 0 842 0 0 cm /P Do")
        made.pages.append(pikepdf.Page(made.make_indirect(page)))
        return _saved(made)


def tiff_of_pages(number: int = 65_535) -> bytes:
    """Pages of one pixel, each after the other; they share the pixel."""
    entries = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1))
    length = 2 + 12 * len(entries) + 4
    directory = struct.pack("<H", len(entries)) + b"".join(TIFF_ENTRY.pack(tag, 4, 1, value) for tag, value in entries)
    nexts = (struct.pack("<I", 12 + length * (page + 1) if page + 1 < number else 0) for page in range(number))
    return b"II*\0" + struct.pack("<II", 12, 0) + b"".join(directory + each for each in nexts)


def tiff_that_never_ends() -> bytes:
    """Its last page names the first as the next one."""
    whole = tiff_of_pages(3)
    return whole[:-4] + struct.pack("<I", 12)


def png_with_text(megabytes: int = 2_000, compressed: bool = True) -> bytes:
    """A page of 8 x 8 pixels, and text of so many megabytes beside it."""
    plain, target = PngImagePlugin.PngInfo(), BytesIO()
    Image.new("L", (8, 8), 255).save(target, "PNG", pnginfo=plain)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    chunk = _chunk(b"zTXt", b"Comment\0\0" + packed) if compressed else _chunk(b"tEXt", b"Comment\0" + b"x" * 1_000_000)
    whole = target.getvalue()
    return whole[:33] + chunk * (1 if compressed else megabytes) + whole[33:]


def png_with_a_profile(megabytes: int = 2_000) -> bytes:
    packer, target = zlib.compressobj(9), BytesIO()
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    Image.new("L", (8, 8), 255).save(target, "PNG")
    return target.getvalue()[:33] + _chunk(b"iCCP", b"x\0\0" + packed) + target.getvalue()[33:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def blank_png(width: int = 10_000, height: int = 10_000, mode: str = "RGBA") -> bytes:
    """As many pixels as are allowed."""
    return _image(Image.new(mode, (width, height)), "PNG")


def animation(kind: str, frames: int = 3_000) -> bytes:
    """Of frames that differ by a pixel."""
    pictures = [Image.new("RGB", (64, 64), (each % 256, each // 256, 0)) for each in range(frames)]
    return _image(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=10)


def strip(width: int, height: int) -> bytes:
    return _image(Image.new("L", (width, height), 255), "PNG")


def scans(number: int = 1_000, side: int = 8_000) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    whole = _image(Image.new("L", (side, side), 200), "JPEG", progressive=True)
    last = whole.rfind(b"\xff\xda")
    tables = whole.rfind(b"\xff\xc4", 0, last)
    return whole[:-2] + whole[tables:-2] * number + b"\xff\xd9"


def letters(width: int = 10_000, height: int = 10_000) -> bytes:
    """A page full of the smallest letters that there are, as many as its pixels hold."""
    from PIL import ImageDraw, ImageFont

    tile, font = Image.new("L", (1000, 500), 255), ImageFont.load_default(9)
    pen = ImageDraw.Draw(tile)
    for row in range(0, 500, 10):
        pen.text((0, row), "it is as he has it and so on " * 8, fill=0, font=font)
    page = Image.new("L", (width, height), 255)
    for left in range(0, width, 1000):
        for top in range(0, height, 500):
            page.paste(tile, (left, top))
    return _image(page.convert("1"), "TIFF", compression="group4")


def _image(image: Image.Image, kind: str, **options: object) -> bytes:
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "a page of 400,000 words": one_page_of_words,
    "30 pages that share 40,000 words": pages_that_share_words,
    "200 pages that share 20,000 words": lambda: pages_that_share_words(200, 20_000),
    "a word of 2,000,000 letters": one_word,
    "a page of 0.0001 points": tiny_page,
    "forms in forms, 10^10 words": forms_in_forms,
    "a form that shows itself": form_that_shows_itself,
    "30,000 fonts": many_fonts,
    "5,000,000 brackets": pdf_of_brackets,
    "5,000,000 curves": pdf_of_curves,
    "a PDF with a picture of 900,000,000 pixels": pdf_with_a_picture,
    "TIFF of 65,535 pages": tiff_of_pages,
    "TIFF that never ends": tiff_that_never_ends,
    "PNG with 2 GB of packed text": png_with_text,
    "PNG with 40 MB of text": lambda: png_with_text(40, compressed=False),
    "PNG with a profile of 2 GB": png_with_a_profile,
    "PNG of 100,000,000 blank pixels": blank_png,
    "GIF of 3,000 frames": lambda: animation("GIF"),
    "WebP of 3,000 frames": lambda: animation("WEBP"),
    "APNG of 3,000 frames": lambda: animation("PNG"),
    "one pixel": lambda: strip(1, 1),
    "a line of 32,767 pixels": lambda: strip(32_767, 1),
    "JPEG of 1,000 scans": scans,
    "TIFF full of the smallest letters": letters,
}
"""Each by its name in docs/security.md."""


def named(names: Iterable[str]) -> dict[str, bytes]:
    return {name: FILES[name]() for name in names}
