"""What the result page draws: words in their boxes, and the most frequent ones as bars."""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from pydantic_core import from_json

from inktally.document import CountsDocument, Page, Value, Word

SURE, FAIR = 85, 60  # least confidence, of 100
MOST_DRAWN = 5000
MOST_FOUND = 200
MOST_IN_LIST = 1000  # words of a page
CHARTED, LISTED = 15, 200
ENTRY = b"    {"

Surety = Literal["sure", "fair", "unsure"]


class Placed(Word):
    """A recognised word where it stands, and the counted words that it belongs to."""

    tokens: tuple[str, ...] = ()

    @property
    def surety(self) -> Surety:
        return "sure" if self.confidence >= SURE else "fair" if self.confidence >= FAIR else "unsure"


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


def drawn(lines: Iterable[bytes], number: int, wanted: str) -> Drawing:
    """Of the lines of the output `coordinates_json`: page `number`, or the last, and what is `wanted`.

    A picture may have very many words, so of those that are not shown none is kept. Raises `ValueError`, of which
    pydantic's errors are some.
    """
    pages, words, hits, hits_in_all = list[Page](), list[Placed](), list[Placed](), 0
    for field, entry in _entries(lines):
        if field == "pages":
            pages.append(Page.model_validate_json(entry))
        elif field == "words":
            word = from_json(entry)
            if word["page"] == min(number, len(pages)):
                words.append(Placed.model_validate(word))
            if is_hit(word["text"], word["tokens"], wanted):
                hits_in_all += 1
                hits += [Placed.model_validate(word)] if hits_in_all <= MOST_FOUND else []
    if not pages:
        raise ValueError("These are no coordinates of words.")
    sheet = _sheet(pages[min(number, len(pages)) - 1], words, wanted)
    return Drawing(sheet=sheet, pages=len(pages), hits=tuple(hits), hits_in_all=hits_in_all)


def _entries(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """The fields that are lists, and their entries: each has a line of its own (inktally/outputs/json_text.py)."""
    field = ""
    for line in lines:
        if line.startswith(ENTRY):
            yield field, line.strip().rstrip(b",")
        else:
            field = line.partition(b":")[0].strip(b' "').decode()


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
