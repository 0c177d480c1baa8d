"""Recognised words -> word tokens, by these rules:

1. Text is brought to Unicode's form NFKC (the ligature fi becomes f and i, a long s an s); soft hyphens and other
   invisible characters vanish. A sign that NFKC spells out is a word of its own: m² gives m and 2, Tea™ gives tea and
   tm, 2½ gives 2 and the fraction 1/2, ①② gives 1 and 2. Raised digits stay together (10¹² gives 10 and 12). Raised
   letters and lowered digits belong to their word (1ª gives 1a, H₂O gives h2o).
2. It is divided at Unicode's word boundaries (UAX #29): well-known is two words, don't and 3.14 are one. Scripts that
   set no spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are divided by ICU's dictionaries, over all that an
   engine read in one paragraph. A word holds at least one letter or digit.
3. Typographic apostrophes become '. They and underscores stay inside a word, never around it.
4. A hyphen at a line's end joins both halves when the next line of the page starts with a lower-case letter, or when
   both halves are upper case. The joined word points at both, and is as sure as the less sure of them.
5. Words below `min_confidence` are not counted; a joined word is counted whole or not at all.

Lower-casing is the Spark job's, and agrees with `str.lower` although the two know different versions of Unicode:
characters that this Python's version does not know yet separate words, and a word with a capital sigma, which has two
small forms, is lower-cased here. So the versions of Unicode and of the dictionaries are a part of the rules' name.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from unicodedata import category, decomposition, normalize, unidata_version

import regex
from icu4py import icu_version
from icu4py.breakers import WordBreaker

from inktally.delivery import Counting
from inktally.document import Recognition, Token, Word

VERSION = "inktally.tokens/2"
"""Counts of one version may be added up; Unicode's versions differ in characters only that the older does not know."""
RULES = f"{VERSION} unicode/{unidata_version} icu/{icu_version}"

CORE = regex.compile(r"[\p{L}\p{N}](?:.*[\p{L}\p{N}])?(?:[\u200c\u200d]?\p{M})*", regex.DOTALL)
INVISIBLE = regex.compile(r"[\p{DI}--[\u00ad\u200c\u200d]]|\u00ad(?!\s*\Z)", regex.V1)
SPELLED_OUT = regex.compile(
    r"[\p{dt=Super}&&[\p{No}\p{Sm}]]+"
    r"|[[\p{dt=Super}\p{dt=Fraction}\p{dt=Circle}\p{dt=Square}\p{dt=Compat}]&&[\p{No}\p{So}]]",
    regex.V1,
)
UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))
CAPITAL_SIGMA = "\u03a3"
SOFT_HYPHEN = "\u00ad"
HYPHENS = frozenset("-\u00ad\u00ac\u2010\u2e17")
LAST_LETTERS = regex.compile(r"[\p{L}\p{M}']*\p{L}\p{M}*\Z", regex.REVERSE)
FIRST_LETTERS = regex.compile(r"\p{L}[\p{L}\p{M}']*")

Piece = tuple[int, str]
"""The index of a word, and its text under rule 1."""

Span = tuple[int, int]
"""Where a token starts and ends in a text."""


def version_of(rules: str) -> str:
    return rules.partition(" ")[0]


def tokenise(words: Sequence[Word], min_confidence: float = 0.0) -> list[Token]:
    """The tokens in reading order; their `words` are indices into `words`, their confidence is kept to 0..100."""
    confidences = [min(100.0, max(0.0, word.confidence)) for word in words]
    tokens = []
    for run in _joined(words, _normalised(words)):
        for text, indices in _divided(run):
            confidence = min([confidences[index] for index in indices])
            if confidence >= min_confidence:
                kept = text.lower() if CAPITAL_SIGMA in text else text
                tokens.append(Token(text=kept, confidence=confidence, words=indices))
    return tokens


def counted_tokens(recognition: Recognition, counting: Counting) -> list[Token]:
    """The tokens of a recognition that are to be counted; their `words` are indices into all of its words."""
    if not counting.body_only:
        return tokenise(recognition.words, counting.min_confidence)
    margins = {
        (page.number, section.number)
        for page in recognition.pages
        for section in page.sections
        if section.kind != "body"
    }
    body = [index for index, word in enumerate(recognition.words) if (word.page, word.section) not in margins]
    tokens = tokenise([recognition.words[index] for index in body], counting.min_confidence)
    return [token.model_copy(update={"words": tuple([body[index] for index in token.words])}) for token in tokens]


def _normalised(words: Sequence[Word]) -> list[Piece]:
    """Rule 1 for every word, with one kind of apostrophe; blank words are left out. A last soft hyphen stays."""
    characters = set().union(*(word.text for word in words))
    unknown = {ord(character): " " for character in characters if category(character) == "Cn"}
    pieces = []
    for index, word in enumerate(words):
        text = word.text
        if not text.isascii():
            visible = INVISIBLE.sub("", text.translate(unknown))
            text = normalize("NFKC", SPELLED_OUT.sub(_apart, visible)).translate(APOSTROPHES)
        text = text.strip()
        if text:
            pieces.append((index, text))
    return pieces


def _apart(signs: regex.Match[str]) -> str:
    """What the signs spell, between spaces."""
    spelled = "".join(chr(int(code, 16)) for sign in signs[0] for code in decomposition(sign).split()[1:])
    return f" {SPELLED_OUT.sub(_apart, spelled)} "


def _joined(words: Sequence[Word], pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Rules 2 and 4: runs of pieces that are one text once their hyphens are dropped; most runs are a single piece."""
    run: list[Piece] = []
    for (index, text), (next_index, next_text) in pairwise([*pieces, (-1, "")]):
        if text[-1] in HYPHENS and _continues(words[index], text[:-1], words[next_index], next_text):
            run.append((index, text[:-1]))
        elif next_text and _sets_no_space(words[index], text, words[next_index], next_text):
            run.append((index, text))
        else:
            yield [*run, (index, text.removesuffix(SOFT_HYPHEN))]
            run = []


def _continues(word: Word, text: str, next_word: Word, next_text: str) -> bool:
    first, second = LAST_LETTERS.search(text), FIRST_LETTERS.match(next_text)
    if not first or not second or word.page != next_word.page or word.line_id == next_word.line_id:
        return False
    return next_text[0].islower() or (first[0].isupper() and second[0].isupper())


def _sets_no_space(word: Word, text: str, next_word: Word, next_text: str) -> bool:
    if not UNSPACED.match(text[-1]) or not UNSPACED.match(next_text[0]):
        return False
    return word.line_id[:-1] == next_word.line_id[:-1]


def _divided(run: Sequence[Piece]) -> list[tuple[str, tuple[int, ...]]]:
    """The tokens of a run, each with the indices of the pieces that it stands in."""
    if len(run) == 1:
        [(index, text)] = run
        return [(text[start:end], (index,)) for start, end in _spans_of_word(text)]
    whole = "".join([text for _, text in run])
    begins = [0, *accumulate([len(text) for _, text in run[:-1]])]
    divided = []
    for start, end in _spans(whole):
        pieces = run[bisect_right(begins, start) - 1 : bisect_left(begins, end)]
        divided.append((whole[start:end], tuple([index for index, _ in pieces])))
    return divided


@lru_cache(maxsize=10_000)
def _spans_of_word(text: str) -> tuple[Span, ...]:
    return ((0, len(text)),) if text.isascii() and text.isalnum() else _spans(text)


def _spans(text: str) -> tuple[Span, ...]:
    """Rules 2 and 3: where the tokens of a text are."""
    bounds = accumulate([len(segment) for segment in WordBreaker(text, "und")], initial=0)
    cores = (CORE.search(text, start, end) for start, end in pairwise(bounds))
    return tuple(core.span() for core in cores if core)
