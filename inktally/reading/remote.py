"""A page that is read by a remote engine, in the parent, after the child has done what it could and left it."""

from pathlib import Path

import numpy as np

from inktally.document import Engine
from inktally.imaging.glyphs import Boxes
from inktally.imaging.page import PageImage
from inktally.imaging.sections import assign
from inktally.ports import PageEngine
from inktally.reading.merging import attempt
from inktally.reading.pages import DEPOSIT, PageRead
from inktally.settings import Settings


def leave(file: Path, page: PageImage, letters: Boxes) -> None:
    """The page as it was decoded, and the boxes of what looks like letters, in its pixels."""
    np.savez(file, pixels=page.pixels, letters=letters, dpi=page.dpi)


def better(
    read: PageRead, name: str, engine: PageEngine, identity: Engine, folder: Path, settings: Settings
) -> PageRead:
    """`read`, or what the engine reads on the page that was left in the folder, whichever seems better."""
    with np.load(folder / DEPOSIT, allow_pickle=False) as left:  # arrays of plain numbers: nothing in them is run
        image, letters = PageImage(left["pixels"], int(left["dpi"])), left["letters"]
    found = attempt(name, engine.read(image, identity).words, letters, read.page.languages)
    told = read.told(f"{name} {found.quality:.2f}")
    if read.page.engine and (read.page.quality or 0.0) >= found.quality:
        return told
    words = [word.model_copy(update={"page": read.page.number}) for word, *_ in found.words]
    words, sections = assign(words, read.page.sections) if read.page.sections else (words, [])
    page = told.page.model_copy(
        update={"engine": name, "quality": round(found.quality, 4), "sections": tuple(sections)}
    )
    wanting = found.quality < settings.auto_quality
    facts = {"page": page, "words": tuple(words), "size": len(words), "wanting": wanting}
    return told.model_copy(update=facts)
