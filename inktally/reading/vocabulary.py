"""How common a word is in the languages of a page; it tells words from what was misread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

import regex

# Tesseract's names of languages -> those of the word lists; Danish stands nearest to Norwegian.
LISTS = {
    "ara": "ar", "ben": "bn", "bul": "bg", "cat": "ca", "ces": "cs", "dan": "nb", "deu": "de", "ell": "el",
    "eng": "en", "fas": "fa", "fil": "fil", "fin": "fi", "fra": "fr", "frk": "de", "heb": "he", "hin": "hi",
    "hrv": "sh", "hun": "hu",
    "ind": "id", "isl": "is", "ita": "it", "kor": "ko", "lav": "lv", "lit": "lt", "mkd": "mk", "msa": "ms", "nld": "nl",
    "nor": "nb", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "spa": "es", "swe": "sv",
    "tam": "ta", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi", "script/Fraktur": "de",
}  # fmt: skip
CORE = regex.compile(r"[\p{L}\p{M}](?:[\p{L}\p{M}'’-]*[\p{L}\p{M}])?")


@dataclass(frozen=True)
class Vocabulary:
    """The word lists of some languages; without any, nothing is known and nothing held against a word."""

    lists: tuple[dict[str, float], ...]

    def __bool__(self) -> bool:
        return bool(self.lists)

    def frequency(self, text: str) -> float:
        """How often the word without its punctuation occurs among all words; 0: never seen, or no word."""
        core = CORE.search(text)
        if core is None:
            return 0.0
        word = normalize("NFKC", core[0]).replace("’", "'").casefold()
        return max((words.get(word, 0.0) for words in self.lists), default=0.0)


@lru_cache
def vocabulary(languages: Sequence[str]) -> Vocabulary:
    """Of languages as Tesseract names them."""
    from wordfreq import get_frequency_dict

    names = {LISTS[language]: None for language in languages if language in LISTS}
    return Vocabulary(tuple(get_frequency_dict(name, "best") for name in names))
