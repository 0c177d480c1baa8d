"""The documents of one bucket as an Arrow table, and what their counts add up to."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inktally.document import sha256_of

BUCKETS = tuple(f"{number:02x}" for number in range(64))
MERGED_AT_ONCE = 8

DOCUMENTS = pa.schema(
    [
        ("document", pa.string()),
        ("etag", pa.string()),
        ("day", pa.string()),
        ("problem", pa.string()),
        ("tokens", pa.int64()),
        ("words", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
    ]
)
"""A row a document, by name. `day`: when its counts were written (UTC); `problem`: why they count for nothing."""

WORDS = pa.schema(
    [
        ("day", pa.string()),
        ("prefix", pa.string()),
        ("word", pa.string()),
        ("total", pa.int64()),
        ("documents", pa.int64()),
    ]
)
"""How often a word stands in the documents of one day and one prefix, and in how many of them."""


class Identity(NamedTuple):
    """What tells a document, and one state of it, from all others."""

    document: str
    etag: str
    day: str


class Counted(NamedTuple):
    """A document that was read; with a `problem` it has no counts."""

    identity: Identity
    counts: Mapping[str, int]
    problem: str = ""


def bucket_of(document: str) -> str:
    return BUCKETS[sha256(document.encode()).digest()[0] % len(BUCKETS)]


def prefix_of(document: str) -> str:
    """The first folder of its name, with the slash; empty where it lies in none."""
    folder, slash, _ = document.partition("/")
    return folder + slash if slash else ""


def digest_of(identities: Iterable[Identity]) -> str:
    """One name for the states of all documents of a bucket."""
    return sha256_of(*(part for identity in sorted(identities) for part in identity))


def rows(documents: Sequence[Counted]) -> pa.RecordBatch:
    columns = [
        *([getattr(document.identity, name) for document in documents] for name in Identity._fields),
        [document.problem for document in documents],
        [sum(document.counts.values()) for document in documents],
        [list(document.counts) for document in documents],
        [list(document.counts.values()) for document in documents],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, DOCUMENTS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS)


def table_of(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """By document, in one piece."""
    return pa.Table.from_batches(list(batches), DOCUMENTS).sort_by("document").combine_chunks()


def identities(documents: pa.Table) -> list[Identity]:
    columns = (documents[name].to_pylist() for name in Identity._fields)
    return [Identity(*values) for values in zip(*columns, strict=True)]


def word_rows(documents: pa.Table, **columns: pa.ChunkedArray | pa.Array) -> pa.Table:
    """A row for each word of each document, with its `count`; `columns` have a value a document."""
    words = _whole(documents["words"])
    parents = pc.list_parent_indices(words)
    spread = {name: values.take(parents) for name, values in columns.items()}
    return pa.table({**spread, "word": words.flatten(), "count": _whole(documents["counts"]).flatten()})


def summed(documents: pa.Table) -> pa.Table:
    """What the documents' counts add up to, as `WORDS` has it."""
    prefixes = pa.array([prefix_of(name) for name in documents["document"].to_pylist()], pa.string())
    rows = word_rows(documents, day=documents["day"], prefix=prefixes)
    sums = rows.group_by(["day", "prefix", "word"]).aggregate([("count", "sum"), ("count", "count")])
    ordered = sums.select(["day", "prefix", "word", "count_sum", "count_count"]).rename_columns(WORDS.names)
    return ordered.cast(WORDS).sort_by([("day", "ascending"), ("prefix", "ascending"), ("word", "ascending")])


def merged(tables: Iterable[pa.Table], by: Sequence[str]) -> pa.Table:
    """Sums over tables of the form `WORDS`, for each value of the columns `by`; memory grows with the result alone."""
    columns = [*by, "total", "documents"]
    pile = [WORDS.empty_table().select(columns)]
    for table in tables:
        pile.append(table.select(columns))
        if len(pile) > MERGED_AT_ONCE:
            pile = [_added_up(pile, by)]
    return _added_up(pile, by)


def _added_up(tables: Sequence[pa.Table], by: Sequence[str]) -> pa.Table:
    sums = pa.concat_tables(tables).group_by(list(by)).aggregate([("total", "sum"), ("documents", "sum")])
    return sums.select([*by, "total_sum", "documents_sum"]).rename_columns([*by, "total", "documents"])


def as_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def from_parquet(content: bytes, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Raises `ValueError` (`pyarrow.ArrowInvalid`) for what is none of our files."""
    names = list(columns or schema.names)
    table = pq.read_table(pa.BufferReader(content), columns=names)
    return table.cast(pa.schema([schema.field(name) for name in names]))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
