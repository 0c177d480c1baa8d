"""Tokens and pictures as Parquet files, as `Counter.count_parts` takes them, and their counts by plain Python."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from inktally import plugins
from inktally.counters.spark import SparkCounter
from inktally.document import Box, Word
from inktally.ports import Store
from inktally.tokens import tokenise
from tests.support.servers import S3Server

Row = tuple[str, str, int]
"""Document, word, confidence in hundredths."""

TOKENS = pa.schema([("document", pa.string()), ("word", pa.string()), ("confidence", pa.int32())])
PICTURES = pa.schema([("document", pa.string())])
BOX = Box(left=0, top=0, width=1, height=1)
WORDS = (
    "The the THE fox Fox don't 3.14 \u0130stanbul I\u015eIK \u0131\u015f\u0131k Stra\u00dfe STRASSE STRA\u1e9eE \u01c5 "
    "\u039f\u0394\u039f\u03a3 \u03a3 \u03a3\u0391\u03a3 \u1f08\u03a3\u03a4\u03a1\u0391 \u0391\u03a3'\u0391 \u1f88 "
    "\u041c\u0418\u0420 \u0532\u0561\u0580\u0587 \U00010400 \ufb01n \ufa0e None NA null"
)
NAMES = ("a/b c", "a=b", "\u0130", "'; --", "two\nlines", "100%", "[x]", "")


class Counts(NamedTuple):
    """By document: word, count, sum of confidence; and in all: word, count, documents. All in order."""

    documents: dict[str, list[tuple[str, int, int]]]
    totals: list[tuple[str, int, int]]


class Batch(NamedTuple):
    """The rows of some files."""

    tokens: Sequence[Sequence[Row]]
    pictures: Sequence[Sequence[str]]

    def put(self, store: Store, prefix: str) -> tuple[list[str], list[str]]:
        """Write the files in small row groups; the keys of tokens, and those of pictures."""
        tokens = [pa.Table.from_arrays(_columns(rows, 3), schema=TOKENS) for rows in self.tokens]
        pictures = [pa.Table.from_arrays([pa.array(rows, pa.string())], schema=PICTURES) for rows in self.pictures]
        return _put(store, f"{prefix}tokens", tokens), _put(store, f"{prefix}pictures", pictures)

    def counts(self) -> Counts:
        """What the rows come to, by plain Python."""
        documents: dict[str, Counter[str]] = {}
        sums = Counter[tuple[str, str]]()
        for document, word, confidence in (row for rows in self.tokens for row in rows):
            documents.setdefault(document, Counter())[word.lower()] += 1
            sums[document, word.lower()] += confidence
        totals, pictures = Counter[str](), Counter[str]()
        for document in (document for rows in self.pictures for document in rows):
            totals.update(documents.get(document, {}))
            pictures.update(documents.get(document, {}).keys())
        return Counts(
            {
                document: [(word, count, sums[document, word]) for word, count in _ordered(words)]
                for document, words in documents.items()
            },
            [(word, count, pictures[word]) for word, count in _ordered(totals)],
        )


def varied(documents: int = 60) -> Batch:
    """Documents of any name with words of many scripts; some are shown by several pictures, some by none."""
    chance = random.Random(1)  # noqa: S311
    words = tokens_of(WORDS)
    names = [*NAMES, *(f"document {number}" for number in range(documents))]
    rows = [
        (name, word, chance.randrange(10_001))
        for name in names
        for word in chance.choices(words, k=chance.randrange(90))
    ]
    chance.shuffle(rows)
    shown = [*names[:-5], *names[:5], names[0], *names[:20], "shown but without a word"]
    return Batch([rows[0::3], rows[1::3], [], rows[2::3]], [shown[:30], shown[30:], []])


def skewed(tokens: int = 200_000) -> Batch:
    """One word is nine in ten, most of it in one document."""
    rows = [
        ("large" if at % 3 else f"d{at % 5}", f"w{at % 977}" if at % 10 == 0 else "THE", 9000) for at in range(tokens)
    ]
    return Batch([rows[: tokens // 2], rows[tokens // 2 :]], [["large", "d0", "d1", "d1"]])


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, by the rules."""
    return [
        token.text
        for token in tokenise([Word(text=text, confidence=90, page=1, block=1, paragraph=1, line=1, word=1, box=BOX)])
    ]


VARIED = varied()
Large = tuple[Store, list[str], list[str]]
"""A store with the keys of its tokens and pictures."""


def bucket(server: S3Server) -> tuple[str, Store]:
    """The address of a new one, and the store."""
    address = f"s3://{server.new_bucket()}"
    return address, plugins.store(address, server.settings())


def count(counter: SparkCounter, store: Store, batch: Batch, into: str = "batch/") -> None:
    counter.count_parts(store, *batch.put(store, f"{into}in/"), into)


def begun(store: Store, into: str) -> Callable[[], bool]:
    """Whether Spark is at work on the counts of a folder."""
    return Path(store.address(f"{into}counts/_temporary")).exists


def once(happened: Callable[[], bool], then: Callable[[], None]) -> None:
    deadline = time.monotonic() + 60
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.001)
    then()


def written(store: Store, into: str) -> Counts:
    """What stands below `into`; fails on files other than Parquet, and on documents that are in two places."""
    documents: dict[str, list[tuple[str, int, int]]] = {}
    for table in _tables(store, f"{into}counts/"):
        for document, rows in groupby(
            zip(*(column.to_pylist() for column in table.columns), strict=True), lambda r: r[0]
        ):
            assert document not in documents
            documents[document] = [(word, count, confidence) for _, word, count, confidence in rows]
    totals = [
        row for t in _tables(store, f"{into}totals/") for row in zip(*(c.to_pylist() for c in t.columns), strict=True)
    ]
    return Counts(documents, totals)


def _tables(store: Store, prefix: str) -> list[pa.Table]:
    keys = sorted(found.key for found in store.list(prefix))
    assert [key for key in keys if not key.endswith(".parquet") or "/" in key.removeprefix(prefix)] == []
    return [parquet.read_table(BytesIO(store.read(key))) for key in keys]


def _put(store: Store, prefix: str, tables: Iterable[pa.Table]) -> list[str]:
    keys = []
    for number, table in enumerate(tables):
        buffer = BytesIO()
        parquet.write_table(table, buffer, row_group_size=max(1, table.num_rows // 3))
        keys.append(f"{prefix}/{number}.parquet")
        store.put(keys[-1], buffer.getvalue())
    return keys


def _columns(rows: Sequence[Row], width: int) -> list[pa.Array]:
    return [pa.array([row[at] for row in rows], TOKENS.types[at]) for at in range(width)]


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
