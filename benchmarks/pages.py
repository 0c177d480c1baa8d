"""Pages that nobody has seen before, and how long the command `tesseract` takes for them."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from deployments import samples

SIZE = (1654, 2339)  # A4 at 200 dpi, in pixels
LINES, WORDS = 36, 9
"""As many words as a page of a book has: Tesseract needs 0.8 s, and 1.2 s for real scans on average."""


def text(seed: int) -> str:
    """Words in an order of their own, so that no two pages are alike."""
    chance, words = random.Random(seed), samples.MARKET.split() + samples.GARDEN.split()  # noqa: S311
    return "\n".join(" ".join(chance.choices(words, k=WORDS)) for _ in range(LINES))


def page(path: Path, seed: int) -> Path:
    """A picture of `text(seed)`."""
    image, file = Image.new("L", SIZE, 255), BytesIO()
    ImageDraw.Draw(image).multiline_text((100, 100), text(seed), font=ImageFont.load_default(36), spacing=18)
    image.save(file, "PNG", dpi=(200, 200))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())
    return path


def seconds_of_tesseract(path: Path) -> float:
    begun = time.monotonic()
    subprocess.run(["tesseract", path, "-", "-l", "eng"], env=one_thread(), capture_output=True, check=True)
    return time.monotonic() - begun


def seconds_of_xargs(pages: Sequence[Path], *command: str) -> float:
    """For all pages, as many at once as there are cores; {} in the command, else Tesseract's, is the page."""
    begun = time.monotonic()
    subprocess.run(
        ["xargs", "-P", str(os.cpu_count() or 1), "-I{}", *(command or ("tesseract", "{}", "{}", "-l", "eng"))],
        input="\n".join(map(str, pages)),
        text=True,
        env=one_thread(),
        capture_output=True,
        check=True,
    )
    return time.monotonic() - begun


def one_thread() -> dict[str, str]:
    """Tesseract's own threads only slow each other down."""
    return {**os.environ, "OMP_THREAD_LIMIT": "1"}
