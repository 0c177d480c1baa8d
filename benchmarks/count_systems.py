"""The systems that benchmarks.counting compares: python -m benchmarks.count_systems SYSTEM FOLDER INTO FIRST.

Each counts FOLDER/tokens and FOLDER/pictures into FOLDER/INTO/counts and FOLDER/INTO/totals, the columns and their
order as `inktally.ports.Counter.count_parts` has them. One process counts once, and prints as JSON the seconds of its
start (Spark's with a first batch) and those of the count, from files to files.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from inktally import plugins
from inktally.settings import read_settings

COUNTS = pyarrow.schema({"document": "string", "word": "string", "count": "int64", "confidence": "int64"})
DOCUMENTS = 1_000
"""That plain Python writes at once."""

DUCKDB_COUNTS = """
COPY (
    SELECT document, lower(word) AS word, count(*) AS count, sum(confidence)::BIGINT AS confidence
    FROM '{folder}/tokens/*.parquet' GROUP BY ALL ORDER BY document, count DESC, word
) TO '{folder}/{into}/counts/0.parquet'"""
DUCKDB_TOTALS = """
COPY (
    WITH shown AS (SELECT document, count(*) AS pictures FROM '{folder}/pictures/*.parquet' GROUP BY document)
    SELECT word, sum(count * pictures)::BIGINT AS count, sum(pictures)::BIGINT AS documents
    FROM '{folder}/{into}/counts/0.parquet' JOIN shown USING (document) GROUP BY word ORDER BY count DESC, word
) TO '{folder}/{into}/totals/0.parquet'"""

Count = Callable[[], object]


def inktally(folder: Path, into: str, first: Path) -> Count:
    """The product's own counter; it has counted the batch `first` before."""
    settings = read_settings(count_seconds=3600)
    counter = plugins.counter(settings, for_parts=True)

    def count(folder: Path) -> None:
        keys = {kind: [f"{kind}/{file.name}" for file in sorted((folder / kind).iterdir())] for kind in KINDS}
        counter.count_parts(plugins.store(str(folder), settings), keys["tokens"], keys["pictures"], f"{into}/")

    count(first)
    return partial(count, folder)


def duckdb(folder: Path, into: str, _: Path) -> Count:
    import duckdb

    def count() -> None:
        for statement in (DUCKDB_COUNTS, DUCKDB_TOTALS):
            duckdb.execute(statement.format(folder=folder, into=into))

    return count


def pandas(folder: Path, into: str, _: Path) -> Count:
    import pandas

    def count() -> None:
        tokens = pandas.read_parquet(folder / "tokens")
        tokens["word"] = tokens["word"].str.lower()
        groups = tokens.groupby(["document", "word"], sort=False)["confidence"]
        counts = groups.agg(count="size", confidence="sum").reset_index()
        counts = counts.sort_values(["document", "count", "word"], ascending=[True, False, True])
        counts.to_parquet(folder / into / "counts" / "0.parquet", index=False)
        pictures = pandas.read_parquet(folder / "pictures")["document"].value_counts()
        counts["documents"] = counts["document"].map(pictures).fillna(0).astype(int)
        counts["count"] *= counts["documents"]
        totals = counts[counts["documents"] > 0].groupby("word", sort=False)[["count", "documents"]].sum().reset_index()
        totals = totals.sort_values(["count", "word"], ascending=[False, True])
        totals.to_parquet(folder / into / "totals" / "0.parquet", index=False)

    return count


def python(folder: Path, into: str, _: Path) -> Count:
    """A Counter for each document, all of them in memory."""

    def count() -> None:
        counts, confidence = defaultdict[str, Counter[str]](Counter), defaultdict[str, Counter[str]](Counter)
        for document, text, hundredths in _rows(folder / "tokens"):
            word = text.lower()
            counts[document][word] += 1
            confidence[document][word] += hundredths
        pictures = Counter(document for document, *_ in _rows(folder / "pictures"))
        _write_counts(folder / into / "counts" / "0.parquet", counts, confidence)
        totals, documents = Counter[str](), Counter[str]()
        for document, shown in pictures.items():
            for word, number in counts[document].items():
                totals[word] += number * shown
                documents[word] += shown
        columns = zip(*((word, number, documents[word]) for word, number in _ordered(totals)), strict=True)
        table = pyarrow.table(dict(zip(("word", "count", "documents"), map(list, columns), strict=True)))
        parquet.write_table(table, folder / into / "totals" / "0.parquet")

    return count


def _rows(folder: Path) -> Iterator[tuple[Any, ...]]:
    for file in sorted(folder.iterdir()):
        for batch in parquet.ParquetFile(file).iter_batches():
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _write_counts(file: Path, counts: dict[str, Counter[str]], confidence: dict[str, Counter[str]]) -> None:
    documents = iter(counts)
    with parquet.ParquetWriter(file, COUNTS) as writer:
        while some := list(islice(documents, DOCUMENTS)):
            rows = [(name, *entry, confidence[name][entry[0]]) for name in some for entry in _ordered(counts[name])]
            columns = zip(*rows, strict=True)
            writer.write_table(pyarrow.table([pyarrow.array(column) for column in columns], schema=COUNTS))


KINDS = ("tokens", "pictures")
SYSTEMS = {"inktally": inktally, "duckdb": duckdb, "pandas": pandas, "python": python}


def main(system: str, folder: Path, into: str, first: Path) -> None:
    begun = time.monotonic()
    count = SYSTEMS[system](folder, into, first)
    for kind in ("counts", "totals"):
        (folder / into / kind).mkdir(parents=True, exist_ok=True)
    ready = time.monotonic()
    count()
    times = {"start_seconds": round(ready - begun, 2), "seconds": round(time.monotonic() - ready, 2)}
    sys.stdout.write(json.dumps(times) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
