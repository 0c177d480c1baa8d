"""What the result page draws: words in their boxes, and the most frequent ones as bars."""

import unicodedata
from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic_core import from_json

from inktally.document import CountsDocument, Page, Value, Word

SURE, FAIR = 85, 60  # least confidence, of 100
MOST_DRAWN = 5000
MOST_FOUND = 200
MOST_IN_LIST = 1000  # words of a page
CHARTED, LISTED = 15, 200

Surety = Literal["sure", "fair", "unsure"]


class Placed(Word):
    """A recognised word where it stands, and the counted words that it belongs to."""

    tokens: tuple[str, ...] = ()

    @property
    def surety(self) -> Surety:
        return "sure" if self.confidence >= SURE else "fair" if self.confidence >= FAIR else "unsure"


class Coordinates(Value):
    """The output `coordinates_json`, as far as it is drawn. `words` may be very many: only what is shown is checked."""

    model_config = ConfigDict(extra="ignore")

    pages: tuple[Page, ...] = Field(min_length=1)
    words: list[Any]


class Sheet(Value):
    """One page, its words, and how surely they were read."""

    page: Page
    words: tuple[Placed, ...]
    """At most `MOST_DRAWN` of `in_all`."""
    in_all: int
    sureties: dict[str, int]
    found: frozenset[int] = frozenset()
    """Positions of those that are searched for."""


class Bar(Value):
    word: str
    count: int
    length: float
    """In per cent of the longest."""


class Drawing(Value):
    """The page that is shown, and where on all pages something was found."""

    sheet: Sheet
    pages: int
    hits: tuple[Placed, ...]
    hits_in_all: int


def drawn(content: bytes, number: int, wanted: str) -> Drawing:
    """Of the output `coordinates_json`: page `number`, or the last, and what is `wanted`.

    Raises `ValueError`, of which pydantic's errors are some.
    """
    coordinates = Coordinates.model_validate(from_json(content, cache_strings="keys"))
    number = min(number, len(coordinates.pages))
    words = [Placed.model_validate(word) for word in coordinates.words if word["page"] == number]
    hits = [word for word in coordinates.words if is_hit(word["text"], word["tokens"], wanted)]
    return Drawing(
        sheet=_sheet(coordinates.pages[number - 1], words, wanted),
        pages=len(coordinates.pages),
        hits=tuple(Placed.model_validate(word) for word in hits[:MOST_FOUND]),
        hits_in_all=len(hits),
    )


def _sheet(page: Page, words: Sequence[Placed], wanted: str) -> Sheet:
    sureties = {name: sum(word.surety == name for word in words) for name in ("sure", "fair", "unsure")}
    found = frozenset(index for index, word in enumerate(words) if is_hit(word.text, word.tokens, wanted))
    return Sheet(page=page, words=tuple(words[:MOST_DRAWN]), in_all=len(words), sureties=sureties, found=found)


def folded(text: str) -> str:
    """As words are compared: in lower case, NFKC, without blanks around it."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def is_hit(text: str, tokens: Collection[str], wanted: str) -> bool:
    """Whether a word is what is searched for (already folded), or holds it."""
    return bool(wanted) and (wanted in tokens or wanted in folded(text))


def bars(counts: CountsDocument) -> list[Bar]:
    top = counts.words[:CHARTED]
    longest = max((entry.count for entry in top), default=1)
    return [Bar(word=entry.word, count=entry.count, length=round(100 * entry.count / longest, 1)) for entry in top]
