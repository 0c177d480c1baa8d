"""A page that the child leaves in a folder, so that the parent can have it read by a remote engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inktally.imaging.glyphs import Boxes
from inktally.imaging.page import PageImage

PIXELS, LETTERS, DPI = "pixels.npy", "letters.npy", "dpi"


def leave(folder: Path, page: PageImage, letters: Boxes) -> None:
    """The page as it was decoded, and the boxes of what looks like letters, in its pixels."""
    np.save(folder / PIXELS, page.pixels)
    np.save(folder / LETTERS, letters)
    (folder / DPI).write_text(str(page.dpi))


def left(folder: Path) -> tuple[PageImage, Boxes]:
    """What `leave` left. Arrays of plain numbers: nothing in them is run."""
    pixels, letters = (np.load(folder / name, allow_pickle=False) for name in (PIXELS, LETTERS))
    return PageImage(pixels, int((folder / DPI).read_text())), letters
