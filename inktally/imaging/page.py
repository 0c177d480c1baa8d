"""The values that pass between decoding, preparation and engines, inside the process that reads a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from inktally.document import Word


@dataclass(frozen=True)
class PageImage:
    """The pixels of one upright page: `uint8`, (height, width) grey or (height, width, 3) RGB; black ink on white.

    `dpi` is what the file states; 0: nothing, or nothing that can be believed.
    """

    pixels: NDArray[np.uint8]
    dpi: int = 0

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True)
class PageText:
    """What an engine read on one page: its words in reading order, boxes in pixels of the image it was given."""

    words: tuple[Word, ...]
    text: str

    @classmethod
    def of(cls, words: Iterable[Word]) -> PageText:
        """The text is that of the words: a line for each line, and an empty one before each new paragraph."""
        words = tuple(words)
        paragraphs = groupby(words, key=lambda word: (word.section, word.block, word.paragraph))
        lines = (groupby(paragraph, key=lambda word: word.line) for _, paragraph in paragraphs)
        texts = ["\n".join(" ".join(word.text for word in line) for _, line in each) for each in lines]
        return cls(words, "\n\n".join(texts) + "\n" * bool(words))
