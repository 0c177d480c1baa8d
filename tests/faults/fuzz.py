"""Damaged pictures of every format: python -m tests.faults.fuzz [--seconds S]. Its last line is a verdict; 1 if bad.

Each is decoded as the flow would do it, in a sandbox, and must give pages or an error that blames the picture; and
after all of them a whole picture must be read as before.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image

from inktally.errors import InktallyError, PictureError
from inktally.imaging.decoding.document import Limits, open_document
from inktally.sandbox.parent import Sandbox
from tests.support.paper import INVISIBLE, LINES, pdf, picture, typed

LIMITS = {"max_pixels": 4_000_000, "max_pages": 10, "max_page_words": 30_000}
SECONDS, MEGABYTES = 20, 600
"""What one damaged picture may take."""
HEADER = 400  # bytes; half of the damage is done there
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x01", b"\x80\0\0\0")


def decode(path: str) -> int:
    """What the sandboxed child does; the number of words and pages."""
    with open_document(Path(path), Limits(**LIMITS)) as document:
        numbers = range(1, document.page_count + 1)
        pages = [document.page(number) for number in numbers]
        layers = [layer for number in numbers if (layer := document.layer(number))]
        return len(pages) + sum(len(layer.look().runs) for layer in layers)


@dataclass
class Result:
    """How the damaged pictures ended."""

    kinds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    bad: list[str] = field(default_factory=list)

    def verdict(self) -> str:
        told = ", ".join(f"{number} {kind}" for kind, number in self.kinds.most_common())
        word = "BAD" if self.bad or not self.kinds else "good"
        return f"{word}: {self.kinds.total()} damaged pictures: {told}; slowest {self.slowest:.1f} s"


def run(folder: Path, seconds: float, seed: int) -> Result:
    """Damage and decode until the time is over. What ends badly is kept in `folder`."""
    samples = dict(_samples(folder))
    sandbox, result = Sandbox(1, folder, memory=MEGABYTES), Result()
    whole = folder / "whole"
    whole.write_bytes(samples["scan.pdf"])
    expected = _decoded(sandbox, whole)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        chance = random.Random(seed)  # noqa: S311
        name = chance.choice(sorted(samples))
        damaged = folder / f"{seed}-{name}"
        damaged.write_bytes(_damaged(samples, name, chance))
        _try(sandbox, damaged, result)
        seed += 1
    if _decoded(sandbox, whole) != expected:
        result.bad.append("the next picture")
    sandbox.close()
    return result


def _try(sandbox: Sandbox, damaged: Path, result: Result) -> None:
    begun, kind, is_bad = time.monotonic(), "read", False
    try:
        _decoded(sandbox, damaged)
    except InktallyError as error:
        kind, is_bad = error.kind, not isinstance(error, PictureError)
    result.kinds[kind] += 1
    result.slowest = max(result.slowest, time.monotonic() - begun)
    if is_bad:
        result.bad.append(f"{damaged}: {kind}")
    else:
        damaged.unlink()


def _decoded(sandbox: Sandbox, path: Path) -> Any:
    return sandbox.call("tests.faults.fuzz:decode", {"path": str(path)}, seconds=SECONDS, reads=["path"])


def _damaged(samples: dict[str, bytes], name: str, chance: random.Random) -> bytes:
    content = bytearray(samples[name])
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        reach = min(len(content), chance.choice((HEADER, len(content))))
        at = chance.randrange(max(1, reach))
        length = chance.randint(1, 64)
        damage = chance.randrange(6)
        if damage == 0:
            content[at : at + 1] = bytes([chance.randrange(256)])
        elif damage == 1:
            content[at : at + 4] = chance.choice(EXTREMES)
        elif damage == 2:
            del content[at : at + length]
        elif damage == 3:
            content[at:at] = content[at : at + length] * chance.randint(1, 50)
        elif damage == 4:
            other = samples[chance.choice(sorted(samples))]
            content[at : at + length] = other[at : at + length]
        elif damage == 5:
            del content[chance.randrange(len(content) + 1) :]
    return bytes(content)


def _samples(folder: Path) -> Iterator[tuple[str, bytes]]:
    """A small picture in every format and in the odder ways of some; their names tell what they are."""
    pillow_heif.register_heif_opener()
    page = picture("Hello", (240, 140))
    exif = Image.Exif()
    exif[0x0112] = 6
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "page.png": ("P", {}),
        "alpha.png": ("LA", {"exif": exif.tobytes()}),
        "moving.png": ("RGB", {"save_all": True, "append_images": [page.convert("RGB")]}),
        "page.jpg": ("RGB", {"exif": exif.tobytes(), "progressive": True}),
        "cmyk.jpg": ("CMYK", {}),
        "raw.tiff": ("LA", {"exif": exif}),
        "big.tiff": ("L", {"big_tiff": True}),
        "group4.tiff": ("1", {"compression": "group4", "save_all": True, "append_images": [page.convert("1")] * 2}),
        "jpeg.tiff": ("RGB", {"compression": "jpeg"}),
        "lzw.tiff": ("CMYK", {"compression": "tiff_lzw"}),
        "deflate.tiff": ("LAB", {"compression": "tiff_adobe_deflate"}),
        "float.tiff": ("F", {}),
        "page.webp": ("RGBA", {}),
        "moving.webp": ("RGB", {"save_all": True, "append_images": [page.convert("RGB")]}),
        "page.bmp": ("P", {}),
        "page.gif": ("P", {"save_all": True, "append_images": [page.convert("P")]}),
        "page.jp2": ("RGB", {}),
        "page.j2k": ("L", {"tile_size": (64, 64)}),
        "page.pbm": ("1", {}),
        "page.ppm": ("RGB", {}),
        "page.heic": ("RGB", {"exif": exif.tobytes()}),
        "page.avif": ("RGBA", {}),
    }
    for name, (mode, options) in ways.items():
        file = BytesIO()
        converted = page if mode == "LAB" else page.convert(mode)
        if mode == "LAB":
            converted = Image.merge("LAB", (page, page, page))
        converted.save(file, Image.registered_extensions()[Path(name).suffix], **options)
        yield name, file.getvalue()
    yield "text.pdf", pdf(folder / "sample", typed(LINES[:5])).read_bytes()
    yield "scan.pdf", pdf(folder / "sample", typed(LINES, INVISIBLE), "", scan=page).read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description="Decode damaged pictures.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() // 1_000_000, help="the first picture's; each has one"
    )
    parser.add_argument("--keep", type=Path, help="folder that keeps what ends badly")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run(folder, asked.seconds, asked.seed)
    sys.stdout.writelines(f"{line}\n" for line in (*result.bad, result.verdict()))
    return int(bool(result.bad))


if __name__ == "__main__":
    sys.exit(main())
