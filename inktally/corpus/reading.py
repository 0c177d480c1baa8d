"""The stored counts of one document, read for the corpus. They are taken for what anybody may have written."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import TypedDict

from inktally import keys
from inktally.corpus.partition import Counted, Identity, rows
from inktally.delivery import StoredObject
from inktally.document import sha256_of
from inktally.errors import NotFound, Overwritten
from inktally.ports import Store
from inktally.tokens import VERSION, version_of

READERS, READ_AT_ONCE = 8, 256
MOST_BYTES = 64_000_000
MOST_OF_A_WORD = 2**31 - 1  # so that sums over whatever is written there fit in 64 bits


class _CountedEntry(TypedDict):
    word: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=MOST_OF_A_WORD, strict=True)]


class _CountsFile(BaseModel):
    form: Literal["inktally.word-counts/1"] = Field(alias="schema")
    tokeniser: str = ""
    words: list[_CountedEntry]


def identity_of(found: StoredObject) -> Identity:
    return Identity(keys.counted_document(found.key), found.etag, found.modified[:10])


def read_all(store: Store, found: Sequence[StoredObject], folder: Path) -> Iterator[tuple[pa.RecordBatch, set[str]]]:
    """All documents, read by several threads: batches of rows, and the names of those that have just changed."""
    if not found:
        return
    with ThreadPoolExecutor(READERS, "corpus") as pool:
        for start in range(0, len(found), READ_AT_ONCE):
            some = found[start : start + READ_AT_ONCE]
            read = list(pool.map(lambda each: _read(store, each, folder), some))
            changed = (each for each, error in zip(some, read, strict=True) if isinstance(error, Overwritten))
            yield rows([each for each in read if isinstance(each, Counted)]), {identity_of(e).document for e in changed}


def _read(store: Store, found: StoredObject, folder: Path) -> Counted | NotFound | Overwritten:
    identity = identity_of(found)
    if found.size > MOST_BYTES:
        return Counted(identity, {}, f"It has {found.size:,} bytes; at most {MOST_BYTES:,} are read.")
    path = folder / sha256_of(found.key)
    try:
        store.download(found, path)
        counted = _CountsFile.model_validate_json(path.read_bytes())
    except (NotFound, Overwritten) as error:
        return error
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        return Counted(identity, {}, f"It is not what Inktally writes: {fault['msg']}.")
    finally:
        path.unlink(missing_ok=True)
    if version_of(counted.tokeniser) != VERSION:
        rules = counted.tokeniser or "unnamed"
        return Counted(
            identity, {}, f"It was counted by other rules ({rules}); process the picture again to include it."
        )
    return Counted(identity, _sums(counted.words))


def _sums(entries: Sequence[_CountedEntry]) -> dict[str, int]:
    """A word that is listed twice has the sum."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry["word"]] = counts.get(entry["word"], 0) + entry["count"]
    return counts
