"""Where each recognised word stands, and which counted words it belongs to: as JSON and as tab-separated text."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from inktally.document import Token
from inktally.outputs.shared.json_text import Encoded, by_lines, encoded
from inktally.outputs.shared.layout import Reading

COLUMNS = (
    "page",
    "block",
    "paragraph",
    "line",
    "word",
    "left",
    "top",
    "width",
    "height",
    "confidence",
    "text",
    "tokens",
    "section",
)


def as_json(reading: Reading) -> bytes:
    """Every recognised word with its box, and how each page was read; UTF-8 JSON, a page or a word a line."""
    recognition = reading.recognition
    return by_lines(
        {
            "schema": "inktally.coordinates/1",
            "source": reading.counts.source,
            "engine": recognition.engine.model_dump(mode="json"),
            "fingerprint": recognition.engine.fingerprint,
            "pages": [page.model_dump(mode="json") for page in recognition.pages],
            "words": reading.once(_words),
        }
    )


def _words(reading: Reading) -> Encoded:
    belongs_to = _tokens_by_word(reading.tokens)
    words = enumerate(reading.recognition.words)
    return encoded([{**word.model_dump(mode="json"), "tokens": belongs_to[index]} for index, word in words])


def as_tsv(reading: Reading) -> bytes:
    r"""Every recognised word as a line of tab-separated UTF-8, under a line of headings.

    In a text a backslash is written \\, a tab \t, a line feed \n, a carriage return \r, and any other control
    character or Unicode line end as \u and four hex digits. There are no quotes. `tokens` are parted by blanks.
    This is for programs, and no spreadsheet is promised anything: a cell may start with = + - or @.
    """
    return reading.once(_table)


def _table(reading: Reading) -> bytes:
    belongs_to = _tokens_by_word(reading.tokens)
    lines = ["\t".join(COLUMNS)]
    for index, word in enumerate(reading.recognition.words):
        box = word.box
        numbers = (*word.line_id, word.word, box.left, box.top, box.width, box.height, word.confidence)
        texts = (_escaped(word.text), _escaped(" ".join(belongs_to[index])))
        lines.append("\t".join([*map(str, numbers), *texts, str(word.section)]))
    return ("\n".join(lines) + "\n").encode()


def _tokens_by_word(tokens: Iterable[Token]) -> defaultdict[int, list[str]]:
    """Index of a recognised word -> the lower-cased tokens that it is part of."""
    belongs_to: defaultdict[int, list[str]] = defaultdict(list)
    for token in tokens:
        for index in token.words:
            belongs_to[index].append(token.text.lower())
    return belongs_to


def _escaped(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    named = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return "".join(
        named.get(character)
        or (f"\\u{ord(character):04x}" if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character)
        for character in text
    )
