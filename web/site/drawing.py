"""What the result page draws: words in their boxes, and the most frequent ones as bars."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from inktally.document import Box, CountsDocument, Page, Value

SURE, FAIR = 85, 60  # least confidence, of 100
MOST_DRAWN = 5000
MOST_FOUND = 200
CHARTED, LISTED = 15, 200

Surety = Literal["sure", "fair", "unsure"]


class Placed(Value):
    """A recognised word where it stands, and the counted words that it belongs to."""

    text: str
    confidence: float
    page: int
    line: int
    block: int
    paragraph: int
    word: int
    section: int = 0
    box: Box
    tokens: tuple[str, ...] = ()

    @property
    def surety(self) -> Surety:
        return "sure" if self.confidence >= SURE else "fair" if self.confidence >= FAIR else "unsure"


class Coordinates(Value):
    """The output `coordinates_json`, as far as it is drawn."""

    model_config = ConfigDict(extra="ignore")

    pages: tuple[Page, ...] = Field(min_length=1)
    words: tuple[Placed, ...]

    @classmethod
    def read(cls, content: bytes) -> Coordinates:
        """Raises `ValueError`, of which pydantic's errors are some."""
        return cls.model_validate(json.loads(content))


class Sheet(Value):
    """One page, its words, and how surely they were read."""

    page: Page
    words: tuple[Placed, ...]
    sureties: dict[str, int]
    found: tuple[int, ...] = ()
    """Positions in `words` of those that are searched for."""


class Bar(Value):
    word: str
    count: int
    length: float
    """In per cent of the longest."""


def sheet(coordinates: Coordinates, number: int, wanted: str) -> Sheet:
    words = tuple(word for word in coordinates.words if word.page == number)
    sureties = {name: sum(word.surety == name for word in words) for name in ("sure", "fair", "unsure")}
    found = tuple(index for index, word in enumerate(words) if is_hit(word, wanted))
    return Sheet(page=coordinates.pages[number - 1], words=words[:MOST_DRAWN], sureties=sureties, found=found)


def search(words: Iterable[Placed], wanted: str) -> list[Placed]:
    return [word for word in words if is_hit(word, wanted)]


def folded(text: str) -> str:
    """As words are compared: in lower case, NFKC, without blanks around it."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def is_hit(word: Placed, wanted: str) -> bool:
    """Whether it is what is searched for (already folded), or holds it."""
    return bool(wanted) and (wanted in word.tokens or wanted in folded(word.text))


def bars(counts: CountsDocument) -> list[Bar]:
    top = counts.words[:CHARTED]
    longest = max((entry.count for entry in top), default=1)
    return [Bar(word=entry.word, count=entry.count, length=round(100 * entry.count / longest, 1)) for entry in top]


def lines_of(found: Sequence[Placed]) -> list[dict[str, Any]]:
    """Where words stand, in words for people."""
    return [{"word": word.text, "page": word.page, "line": word.line, "confidence": word.confidence} for word in found]
