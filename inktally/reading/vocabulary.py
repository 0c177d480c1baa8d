"""How common a word is in the languages of a page; it tells words from what was misread.

In Fraktur a long s looks much like an f, and engines take many for one; the word lists tell which it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from unicodedata import normalize

import regex

from inktally.document import Word

# Tesseract's names of languages -> those of the word lists; Danish stands nearest to Norwegian.
LISTS = {
    "ara": "ar", "ben": "bn", "bul": "bg", "cat": "ca", "ces": "cs", "dan": "nb", "deu": "de", "ell": "el",
    "eng": "en", "fas": "fa", "fil": "fil", "fin": "fi", "fra": "fr", "frk": "de", "heb": "he", "hin": "hi",
    "hrv": "sh", "hun": "hu",
    "ind": "id", "isl": "is", "ita": "it", "kor": "ko", "lav": "lv", "lit": "lt", "mkd": "mk", "msa": "ms", "nld": "nl",
    "nor": "nb", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "spa": "es", "swe": "sv",
    "tam": "ta", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi", "script/Fraktur": "de",
}  # fmt: skip
FRAKTUR = frozenset({"frk", "script/Fraktur"})
CLEARLY = 10.0  # times commoner a word must be than the one that was read
MOST = 5  # letters f in one word that are looked at
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


def with_long_s(words: Sequence[Word], languages: Sequence[str], known: Vocabulary) -> list[Word]:
    """Words in Fraktur, with an s for an f where that makes a word, or a much commoner one; others as they are."""
    if FRAKTUR.isdisjoint(languages):
        return list(words)
    return [word.model_copy(update={"text": _spelled(word.text, known)}) for word in words]


def _spelled(text: str, known: Vocabulary) -> str:
    if not 1 <= text.count("f") <= MOST:
        return text
    spellings = ["".join(letters) for letters in product(*("fs" if letter == "f" else letter for letter in text))]
    likeliest = max(spellings, key=known.frequency)
    return likeliest if known.frequency(likeliest) > CLEARLY * known.frequency(text) else text
