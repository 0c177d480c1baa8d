"""What the recognising side of a batch hands to the counting side: Parquet files of tokens and of pictures.

Files are small enough to be held in memory, and are written as recognitions come. A picture's file says all that is
needed to answer it, so that nobody has to hold a million pictures in mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from inktally.delivery import Delivery, Problem, Receipt
from inktally.document import CountedWord, Token, Value, WordCounts, sha256_of
from inktally.ports import Store
from inktally.scratch import scratch_folder

SUFFIX = ".parquet"
MOST_TOKENS = 250_000
"""In one file: some 20 MB of memory while it is made."""
Columns = dict[str, list[Any]]
ROWS = 10_000
"""That are read at once."""


class Entry(Value):
    """A picture of a batch: what it was recognised as, or why it could not be."""

    delivery: Delivery
    receipt: Receipt | None = None
    problem: Problem | None = None


class Handed(Value):
    """The files that one process has written, and how many pictures are in them."""

    tokens: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()

    def __add__(self, other: Handed) -> Handed:
        return Handed(tokens=self.tokens + other.tokens, pictures=self.pictures + other.pictures)


class Total(Value):
    """A word of the whole batch: how often it stands in its pictures, and in how many."""

    word: str
    count: int
    documents: int


class PartsWriter:
    """Writes below `prefix`. A document is named by its recognition, and by the file that its pictures stand in."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._tokens: list[str] = []
        self._pictures: list[str] = []

    @property
    def handed(self) -> Handed:
        return Handed(tokens=tuple(self._tokens), pictures=tuple(self._pictures))

    def write(self, entries: Sequence[Entry], documents: Iterable[tuple[Receipt, Sequence[Token]]]) -> None:
        """One file of pictures, those of one document together, and as many of tokens as it takes.

        One that has failed may be repeated.
        """
        name = f"{len(self._pictures):06}"
        pictures = f"{self._prefix}pictures/{name}{SUFFIX}"
        named = ((_document(pictures, receipt), tokens) for receipt, tokens in documents)
        tokens = [
            self._put(f"{self._prefix}tokens/{name}-{number}{SUFFIX}", columns)
            for number, columns in enumerate(_token_columns(named))
        ]
        self._pictures.append(self._put(pictures, _picture_columns(pictures, entries)))
        self._tokens += tokens

    def _put(self, key: str, columns: Columns) -> str:
        import pyarrow
        from pyarrow import parquet

        types = {"confidence": pyarrow.int32()}
        schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
        file = BytesIO()
        parquet.write_table(pyarrow.table(columns, schema=schema), file, compression="zstd")
        self._store.put(key, file.getvalue())
        return key


def _picture_columns(pictures: str, entries: Iterable[Entry]) -> Columns:
    named = sorted(((_document(pictures, entry.receipt), entry) for entry in entries), key=itemgetter(0))
    return {
        "document": [document for document, _ in named],
        "key": [entry.delivery.picture.key for _, entry in named],
        "entry": [entry.model_dump_json() for _, entry in named],
    }


def _token_columns(documents: Iterable[tuple[str, Sequence[Token]]]) -> Iterator[Columns]:
    """The tokens of all documents, so many at a time that a file of them is held in memory; one document is whole."""
    columns = _no_tokens()
    for document, tokens in documents:
        columns["document"] += [document] * len(tokens)
        columns["word"] += [token.text for token in tokens]
        columns["confidence"] += [round(token.confidence * 100) for token in tokens]
        if len(columns["word"]) >= MOST_TOKENS:
            yield columns
            columns = _no_tokens()
    if columns["word"]:
        yield columns


def _no_tokens() -> Columns:
    return {"document": [], "word": [], "confidence": []}


def entries_by_document(store: Store, pictures: str) -> Iterator[list[Entry]]:
    """The entries of a file of pictures, those of one document at a time; those without a recognition come first."""
    from pyarrow import parquet

    table = parquet.read_table(BytesIO(store.read(pictures)), columns=["document", "entry"])
    rows = zip(table["document"].to_pylist(), table["entry"].to_pylist(), strict=True)
    for _, group in groupby(rows, key=itemgetter(0)):
        yield [Entry.model_validate_json(entry) for _, entry in group]


def counted_documents(store: Store, prefix: str, scratch: Path) -> Iterator[tuple[str, str, WordCounts]]:
    """What a counter has written below `prefix`: content and fingerprint of each recognition, and its counts."""
    rows = (row for found in sorted_keys(store, prefix) for row in _rows(store, found, scratch))
    for document, group in groupby(rows, key=itemgetter("document")):
        content, fingerprint, _ = document.split("/")
        words = (CountedWord.summed(row["word"], row["count"], row["confidence"]) for row in group)
        yield content, fingerprint, WordCounts(words=tuple(words))


def totals(store: Store, files: Iterable[str], scratch: Path) -> Iterator[Total]:
    """The words of the whole batch that a counter has written into `files`, by falling count."""
    for found in files:
        for row in _rows(store, found, scratch):
            yield Total(**row)


def sorted_keys(store: Store, prefix: str) -> list[str]:
    return sorted(found.key for found in store.list(prefix) if found.key.endswith(SUFFIX))


def _document(pictures: str, receipt: Receipt | None) -> str:
    """What differs comes first: Spark sorts by the first eight bytes as far as these tell."""
    return f"{receipt.content}/{receipt.fingerprint}/{sha256_of(pictures)[:16]}" if receipt else ""


def _rows(store: Store, key: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """Of one file, a few thousand in memory at a time."""
    from pyarrow import parquet

    with scratch_folder(scratch) as folder:
        store.download(store.stat(key), folder / "part.parquet")
        with parquet.ParquetFile(folder / "part.parquet") as file:
            for rows in file.iter_batches(ROWS):
                yield from rows.to_pylist()
