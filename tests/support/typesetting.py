"""Pages set in columns, with the boxes of their words, for tests of the layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import cycle

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inktally.document import Box, Word
from inktally.imaging.page import PageImage

PROSE = """
the miller of the lower valley kept a careful book of all that passed his wheel and every evening he would sit beside
the sluice and write how many sacks were ground and who had brought them whether they had paid in coin or in flour and
what the weather was while the river went by as it had always done
"""


@dataclass
class Sheet:
    """A white A4 page at 150 dpi; what is set on it is kept as words, line after line, in the order of setting."""

    width: int = 1240
    height: int = 1754
    words: list[Word] = field(default_factory=list)
    lines: int = 0

    def __post_init__(self) -> None:
        self._image = Image.new("L", (self.width, self.height), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._prose = cycle(PROSE.split())

    def prose(self, left: int, top: int, width: int, lines: int, *, size: int = 24, pitch: int = 34) -> None:
        """Lines filled with words, ragged on the right."""
        for number in range(lines):
            text = next(self._prose)
            while _length(f"{text} {(word := next(self._prose))}", size) < width:
                text += f" {word}"
            self.line(left, top + number * pitch, text, size=size)

    def line(self, left: int, top: int, text: str, *, size: int = 24) -> None:
        self.lines += 1
        for number, word in enumerate(text.split(" "), 1):
            ink, x, y = _inked(word, size)
            self._draw.bitmap((left + x, top + y), ink, fill="black")
            box = Box(left=left + x, top=top, width=ink.width, height=round(1.2 * size))
            place = {"page": 1, "block": 1, "paragraph": 1, "line": self.lines, "word": number}
            self.words.append(Word(text=word, confidence=90.0, box=box, **place))
            left = round(left + _length(word + " ", size))

    def rectangle(self, left: int, top: int, right: int, bottom: int) -> None:
        self._draw.rectangle((left, top, right, bottom), fill="black")

    @property
    def page(self) -> PageImage:
        return PageImage(np.asarray(self._image).copy(), dpi=150)

    def words_by_line(self) -> list[Word]:
        """The words as an engine gives them that knows nothing of columns: by height, then from left to right."""
        return sorted(self.words, key=lambda word: (word.box.top, word.box.left))


@cache
def _length(text: str, size: int) -> float:
    return ImageFont.load_default(size).getlength(text)


@cache
def _inked(word: str, size: int) -> tuple[Image.Image, int, int]:
    """A word as a mask, and how far it stands from where it is set: right and down. Most words are set many times."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(side) for side in font.getbbox(word))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), word, fill="white", font=font)
    return mask, left, top
