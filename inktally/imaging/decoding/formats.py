"""The formats that are read, by the suffixes of names and by the first bytes of files; nothing is decoded here."""

import re
from enum import Enum
from pathlib import Path, PurePosixPath

from inktally.errors import EmptyPicture, NotAPicture, PictureError, UnsupportedFormat

PICTURE_SUFFIXES = frozenset(
    (
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff",
        ".webp", ".bmp", ".dib", ".gif", ".pbm", ".pgm", ".ppm", ".pnm",
        ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
        ".heic", ".heif", ".hif", ".avif", ".pdf",
    )
)  # fmt: skip
READ = "send PDF, PNG, JPEG, TIFF, WebP, HEIC, AVIF, JPEG 2000, BMP, GIF or PNM"
HEAD = 1024  # bytes; as far into a file as a PDF may begin

RASTER_MAGIC = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",  # BigTIFF
    b"MM\0+": ".tif",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"\0\0\0\x0cjP": ".jp2",
    b"\xff\x4f\xff\x51": ".j2k",  # JPEG 2000, the bare codestream
}
PNM = re.compile(rb"P[1-7fF][\s#]")
HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
AVIF_BRANDS = frozenset((b"avif", b"avis"))
FOREIGN_MAGIC = {
    b"PK\x03\x04": "ZIP or an Office document",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x1f\x8b": "gzip",
    b"8BPS": "Photoshop",
    b"AT&TFORM": "DjVu",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\1\0": "an icon",
    b"<svg": "SVG",
}
FOREIGN_BRANDS = {b"crx ": "a raw photo"}
VIDEO = "a video"


class Kind(Enum):
    """Which of our decoders reads a file."""

    RASTER = "raster"
    HEIF = "heif"
    PDF = "pdf"


def kind_of(path: Path) -> Kind:
    """By its first bytes, never by its name. Raises `EmptyPicture`, `NotAPicture`, `UnsupportedFormat`."""
    with path.open("rb") as file:
        return kind_of_head(file.read(HEAD))


def suffix_of(head: bytes) -> str:
    """What a file that begins with these bytes would be named after its dot. Raises as `kind_of` does."""
    kind = kind_of_head(head)
    if kind is not Kind.RASTER:
        return ".pdf" if kind is Kind.PDF else ".heic"
    webp_or_avif = ".avif" if head[4:8] == b"ftyp" else ".webp"
    by_magic = next((suffix for magic, suffix in RASTER_MAGIC.items() if head.startswith(magic)), webp_or_avif)
    return ".pnm" if PNM.match(head) else by_magic


def kind_of_head(head: bytes) -> Kind:
    """By the first 1,024 bytes of a file, or all that it has. Raises as `kind_of` does."""
    if not head:
        raise EmptyPicture("The file is empty; send it again, the upload was probably cut off.")
    if head.startswith(tuple(RASTER_MAGIC)) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP") or PNM.match(head):
        return Kind.RASTER
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head)
    if b"%PDF-" in head:
        return Kind.PDF
    raise _foreign(head)


def _kind_of_brands(head: bytes) -> Kind:
    """HEIC and AVIF share a container, whose major brand comes first, and then those it is compatible with."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, HEAD), 4))]
    for brand in brands:
        if brand in AVIF_BRANDS:
            return Kind.RASTER
        if brand in HEIF_BRANDS and not AVIF_BRANDS.intersection(brands):
            return Kind.HEIF
    raise UnsupportedFormat(f"The file is {FOREIGN_BRANDS.get(head[8:12], VIDEO)}, which is not read; {READ}.")


def _foreign(head: bytes) -> PictureError:
    name = next((name for magic, name in FOREIGN_MAGIC.items() if head.startswith(magic)), "")
    if name:
        return UnsupportedFormat(f"The file is {name}, which is not read; {READ}.")
    return NotAPicture(f"The file is no picture; {READ}.")


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture when a folder is read."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES
