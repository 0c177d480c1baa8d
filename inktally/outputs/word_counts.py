"""What people and programs get to see of a picture: the counts document, and why there is none.

`python -m inktally.outputs.word_counts` writes the JSON Schema of the counts document, which is shipped as
inktally/schemas/word_counts.schema.json.
"""

import json
import sys
from collections.abc import Sequence

from inktally.delivery import Counting, Problem, StoredObject
from inktally.document import CountsDocument, Engine, PageWarning, WordCounts
from inktally.outputs.shared.json_text import by_lines
from inktally.outputs.shared.output import Output
from inktally.tokens import RULES


def counts_document(
    *,
    source: str,
    picture: StoredObject,
    engine: Engine,
    pages: int,
    counting: Counting,
    counts: WordCounts,
    warnings: Sequence[PageWarning] = (),
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
        body_only=counting.body_only,
        pages=pages,
        total=counts.total,
        distinct=counts.distinct,
        mean_confidence=counts.mean_confidence,
        warnings=tuple(warnings),
        words=tuple(sorted(counts.words, key=lambda entry: (-entry.count, entry.word))),
    )


def counts_json(document: CountsDocument) -> bytes:
    """UTF-8 JSON, one counted word a line; the same document gives the same bytes."""
    return by_lines(document.model_dump(mode="json"))


def counts_schema() -> str:
    """The JSON Schema (draft 2020-12) of the counts document."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:inktally:word-counts:1"}
    schema = head | CountsDocument.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def failure_reason(*, source: str, picture: StoredObject, problem: Problem) -> bytes:
    """Why a picture was not counted, as UTF-8 JSON."""
    about = {"schema": "inktally.failure/1", "source": source, "etag": picture.etag, "size": picture.size}
    return by_lines({**about, "version": picture.version, **problem.model_dump(mode="json")})


OUTPUT = Output(
    place=2,
    folder="word_counts",
    suffix=".json",
    media_type="application/json",
    labels={"en": "The counts (JSON)", "de": "Die Zählung (JSON)"},
    write=lambda reading: counts_json(reading.counts),
)


if __name__ == "__main__":
    sys.stdout.write(counts_schema())
