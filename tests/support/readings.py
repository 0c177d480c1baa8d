"""Readings for tests of outputs: words on a grid, and whatever else a page may tell of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inktally.delivery import Counting, StoredObject
from inktally.document import Box, CountedWord, Engine, Page, Recognition, Token, Word, WordCounts
from inktally.outputs.shared.layout import Reading
from inktally.outputs.word_counts import counts_document

SOURCE = 's3://pictures/input/Caf\N{LATIN SMALL LETTER E WITH ACUTE} "100%" <wine> & more.png'
PICTURE = StoredObject(key="input/x.png", etag="d41d8", size=12, version="v1", modified="2026-11-20T10:00:00Z", age=5)
WORDS_A_LINE = 4
COLUMN, ROW = 400, 100  # pixels from one word of the grid to the next
WIDTH, HEIGHT = 300, 50  # of a word


def a_word(text: str, number: int = 0, **changes: Any) -> Word:
    """The word at that place of the grid, counted from 0."""
    row, column = divmod(number, WORDS_A_LINE)
    box = Box(left=100 + column * COLUMN, top=100 + row * ROW, width=WIDTH, height=HEIGHT)
    place = {"page": 1, "block": 1, "paragraph": 1, "line": row + 1, "word": column + 1, "box": box}
    return Word(text=text, **{"confidence": 91.5, **place, **changes})


def a_page(number: int = 1, **changes: Any) -> Page:
    return Page(number=number, **{"width": 1700, "height": 1000, "dpi": 300, **changes})


def a_recognition(
    words: Sequence[Word], pages: Sequence[Page] = (), languages: Sequence[str] = ("eng", "deu")
) -> Recognition:
    engine = Engine(name="tesseract", version="5.3.0", languages=tuple(languages), models={"eng": "ab"})
    text = " ".join(word.text for word in words)
    return Recognition(engine=engine, pages=tuple(pages) or (a_page(),), words=tuple(words), text=text)


def a_reading(*texts: str, pages: Sequence[Page] = (), words: Sequence[Word] = (), **changes: Any) -> Reading:
    """Of `texts` on the grid, or of `words`; each text of them counts once."""
    words = words or [a_word(text, number) for number, text in enumerate(texts)]
    recognition = a_recognition(words, pages, **changes)
    counts = counts_document(
        source=SOURCE,
        picture=PICTURE,
        engine=recognition.engine,
        pages=len(recognition.pages),
        counting=Counting(),
        counts=WordCounts(words=tuple(CountedWord(word=word.text, count=1, confidence=90.0) for word in words)),
    )
    tokens = [Token(text=word.text, confidence=90.0, words=(index,)) for index, word in enumerate(words)]
    return Reading(recognition, tokens, counts)
