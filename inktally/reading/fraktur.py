"""In Fraktur a long s looks much like an f, and engines take many for one; the word lists tell which it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from inktally.document import Word
from inktally.reading.vocabulary import Vocabulary

FRAKTUR = frozenset({"frk", "script/Fraktur"})
CLEARLY = 10.0  # times commoner a word must be than the one that was read
MOST = 5  # letters f in one word that are looked at


def with_long_s(words: Sequence[Word], languages: Sequence[str], vocabulary: Vocabulary) -> list[Word]:
    """Words in Fraktur, with an s for an f where that makes a word, or a much commoner one; others as they are."""
    if FRAKTUR.isdisjoint(languages):
        return list(words)
    return [word.model_copy(update={"text": _spelled(word.text, vocabulary)}) for word in words]


def _spelled(text: str, vocabulary: Vocabulary) -> str:
    if not 1 <= text.count("f") <= MOST:
        return text
    spellings = ["".join(letters) for letters in product(*("fs" if letter == "f" else letter for letter in text))]
    likeliest = max(spellings, key=vocabulary.frequency)
    return likeliest if vocabulary.frequency(likeliest) > CLEARLY * vocabulary.frequency(text) else text
