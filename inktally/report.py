"""What people and programs get to see of a picture: the counts document, coordinates, plain text, and the mails.

`python -m inktally.report` writes the JSON Schema of the counts document, which is shipped as
inktally/schemas/word_counts.schema.json.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from email.message import EmailMessage

from inktally import keys
from inktally.document import (
    CountedWord,
    Counting,
    CountsDocument,
    Engine,
    Problem,
    Recognition,
    StoredObject,
    Token,
    Upload,
    WordCounts,
)
from inktally.mails import author, compose, file_name, render, shown
from inktally.tokens import RULES

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
)

CHARTED_WORDS = 20
LOW_CONFIDENCE = 60  # of 100
LONGEST_WORD = 24
LONGEST_KEY = 300
LONGEST_MESSAGE = 600

ADVICE = {
    "EmptyPicture": "The upload was probably cut short. Please upload the picture again.",
    "NotAPicture": "Please upload a picture: a PNG, JPEG or TIFF file will do.",
    "UnsupportedFormat": "Please save the picture as PNG, JPEG or TIFF, and upload that.",
    "UnreadablePicture": "Open the picture on your computer. If it looks right there, save it anew as PNG and upload"
    " that; if it does not, photograph or scan the page again.",
    "UnknownLanguage": "Please upload the picture again without a language, or with one that is read here, as in eng.",
    "TooLarge": "Please upload a smaller picture: scan at 300 dpi, crop it to the text, or send the pages one by one.",
    "RecognitionTimeout": "Please crop the picture to the text, or send the pages one by one.",
}
OUR_ADVICE = (
    "This is a fault of the service, not of your picture. Those who run the service can see it. You need not do"
    " anything now; should no answer have come by tomorrow, please upload the picture again."
)


def counts_document(
    *, source: str, picture: StoredObject, engine: Engine, pages: int, counting: Counting, counts: WordCounts
) -> CountsDocument:
    """The counts of `picture`, which stands at the address `source`."""
    return CountsDocument(
        source=source,
        etag=picture.etag,
        size=picture.size,
        version=picture.version,
        engine=engine,
        fingerprint=engine.fingerprint,
        tokeniser=RULES,
        min_confidence=counting.min_confidence,
        pages=pages,
        total=counts.total,
        distinct=counts.distinct,
        mean_confidence=counts.mean_confidence,
        words=tuple(sorted(counts.words, key=_rank)),
    )


def counts_json(document: CountsDocument) -> bytes:
    """UTF-8 JSON, one counted word a line; the same document gives the same bytes."""
    return _json_by_lines(document.model_dump(mode="json"))


def counts_schema() -> str:
    """The JSON Schema (draft 2020-12) of the counts document."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:inktally:word-counts:1"}
    schema = head | CountsDocument.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def failure_reason(*, source: str, picture: StoredObject, problem: Problem) -> bytes:
    """Why a picture was not counted, as UTF-8 JSON."""
    about = {"schema": "inktally.failure/1", "source": source, "etag": picture.etag, "size": picture.size}
    return _json_by_lines({**about, "version": picture.version, **problem.model_dump(mode="json")})


def plain_text(recognition: Recognition) -> bytes:
    """The text as the engine gave it, in UTF-8."""
    return recognition.text.encode()


def coordinates_json(recognition: Recognition, tokens: Sequence[Token], *, source: str) -> bytes:
    """Every recognised word with its box and the counted words it belongs to; UTF-8 JSON, one word a line."""
    belongs_to = _tokens_by_word(tokens)
    words = [
        {**word.model_dump(mode="json"), "tokens": belongs_to[index]} for index, word in enumerate(recognition.words)
    ]
    return _json_by_lines(
        {
            "schema": "inktally.coordinates/1",
            "source": source,
            "engine": recognition.engine.model_dump(mode="json"),
            "fingerprint": recognition.engine.fingerprint,
            "pages": [page.model_dump(mode="json") for page in recognition.pages],
            "words": words,
        }
    )


def coordinates_tsv(recognition: Recognition, tokens: Sequence[Token]) -> bytes:
    r"""Every recognised word as a line of tab-separated UTF-8, under a line of headings.

    In a text a backslash is written \\, a tab \t, a line feed \n, a carriage return \r, and any other control
    character or Unicode line end as \u and four hex digits. There are no quotes. `tokens` are parted by blanks.
    This is for programs, and no spreadsheet is promised anything: a cell may start with = + - or @.
    """
    belongs_to = _tokens_by_word(tokens)
    lines = ["\t".join(COLUMNS)]
    for index, word in enumerate(recognition.words):
        box = word.box
        numbers = (*word.line_id, word.word, box.left, box.top, box.width, box.height, word.confidence)
        texts = (_escaped(word.text), _escaped(" ".join(belongs_to[index])))
        lines.append("\t".join([*map(str, numbers), *texts]))
    return ("\n".join(lines) + "\n").encode()


def answer_mail(to: str, sender: str, message_id: str, upload: Upload, document: CountsDocument) -> EmailMessage:
    """The counts, with the document attached. Raises `RecipientRefused`, and `BadSettings` for a wrong sender."""
    name, mean = shown(upload.short_name), document.mean_confidence
    words = "1 word" if document.total == 1 else f"{document.total:,} words"
    attachment = f"{file_name(upload.short_name)}.words.json"
    values: dict[str, object] = {
        "name": name,
        "words": words,
        "document": document,
        "chart": _chart(document.words[:CHARTED_WORDS]),
        "mean": None if mean is None else round(mean),
        "hard_to_read": mean is not None and mean < LOW_CONFIDENCE,
        "languages": shown("+".join(document.engine.languages)),
        "attachment": attachment,
    }
    values["how"] = render("how.txt", values)
    template, subject = (
        ("answer", f"{words} in {name}") if document.total else ("no_words", f"No words found in {name}")
    )
    mail = compose(template, subject, to=to, sender=sender, message_id=message_id, values=values)
    mail.add_attachment(counts_json(document), maintype="application", subtype="json", filename=attachment)
    return mail


def failure_mail(to: str, sender: str, message_id: str, upload: Upload, problem: Problem) -> EmailMessage:
    """What is wrong and what to do about it. Raises as `answer_mail` does."""
    name = shown(upload.short_name)
    values: dict[str, object] = {
        "name": name,
        "message": shown(problem.message, LONGEST_MESSAGE),
        "advice": ADVICE.get(problem.kind, OUR_ADVICE),
        "kind": shown(problem.kind),
        "kept": shown(keys.failed(upload.name), LONGEST_KEY) if problem.kind in ADVICE else "",
    }
    return compose("failure", f"{name} could not be read", to=to, sender=sender, message_id=message_id, values=values)


def delay_mail(to: str, sender: str, message_id: str, upload: Upload) -> EmailMessage:
    """It takes longer, and nothing need be done. Raises as `answer_mail` does."""
    name = shown(upload.short_name)
    return compose("delay", f"Still reading {name}", to=to, sender=sender, message_id=message_id, values={"name": name})


def message_id(delivery_id: str, kind: str, sender: str) -> str:
    """The Message-ID that a delivery's mail of one kind always has, so that a repeated mail can be told."""
    return f"<{delivery_id}.{kind}@{author(sender).domain}>"


def _rank(entry: CountedWord) -> tuple[int, str]:
    return -entry.count, entry.word


def _json_by_lines(document: Mapping[str, object]) -> bytes:
    """JSON with one field a line, and one entry a line in lists of objects."""
    fields = [f"  {_compact(name)}: {_by_lines(value)}" for name, value in document.items()]
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def _by_lines(value: object) -> str:
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return _compact(value)
    return "[\n" + ",\n".join(f"    {_compact(entry)}" for entry in value) + "\n  ]"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _tokens_by_word(tokens: Iterable[Token]) -> defaultdict[int, list[str]]:
    """Index of a recognised word -> the lower-cased tokens that it is part of."""
    belongs_to: defaultdict[int, list[str]] = defaultdict(list)
    for token in tokens:
        for index in token.words:
            belongs_to[index].append(token.text.lower())
    return belongs_to


def _escaped(text: str) -> str:
    named = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return "".join(
        named.get(character)
        or (f"\\u{ord(character):04x}" if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character)
        for character in text
    )


def _chart(words: Sequence[CountedWord]) -> list[dict[str, object]]:
    """The rows of the bar chart: word, count, and the bar's length in per cent of the longest."""
    longest = max((entry.count for entry in words), default=1)
    return [
        {"word": shown(entry.word, LONGEST_WORD), "count": entry.count, "bar": max(1, 100 * entry.count // longest)}
        for entry in words
    ]


if __name__ == "__main__":
    sys.stdout.write(counts_schema())
