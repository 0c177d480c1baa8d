"""Count the words of many documents with Spark: in each document, and over all pictures that show one.

    spark-submit spark_jobs/batch_count.py --tokens FOLDER --pictures FOLDER --output FOLDER

It needs PySpark and nothing else (and PyArrow where S3 is read without Hadoop's classes for it), so this one file can
be submitted as it is to YARN, Kubernetes, EMR or Glue. Nothing but names of files comes to the driver, and whatever
grows with the input is spilled to disk by Spark, so memory is bounded by its settings.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyspark import TaskContext, cloudpickle
from pyspark.errors import AnalysisException
from pyspark.sql import (
    Column,
    DataFrame,
    SparkSession,
    functions as F,  # noqa: N812 - as all of Spark's own documents have it
)
from pyspark.sql.types import StructType

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import S3FileSystem

DESCRIPTION = """\
Count the words of many documents, in lower case, in each document and over all pictures.

Parquet in:
  --tokens    document (string), word (string), confidence (integer, hundredths of a percent)
  --pictures  document (string), one row a picture; others are ignored. Several may show one document.
Parquet out, in folders below --output that are overwritten:
  counts      document, word, count, confidence (sum of hundredths); a document's rows stand together in one file,
              by falling count, then by word in the order of code points
  totals      word, count (over all pictures), documents (pictures that have the word); ordered alike, over all files
Paths are files or folders, anywhere that Spark can read and write. With --s3 arrow, s3://bucket/key is read and
written by PyArrow in the executors, which find credentials as AWS's own programs do; then Spark needs no classes of
Hadoop's for S3."""

TOKENS = StructType().add("document", "string").add("word", "string").add("confidence", "integer")
PICTURES = StructType().add("document", "string")
COUNTS = StructType().add("document", "string").add("word", "string").add("count", "long").add("confidence", "long")

LEAST_PIECES = 16
MOST_PIECES = 512
"""Tasks that read by PyArrow: large files are shared by several, many small ones are taken together."""
BATCH_ROWS = 1 << 16
ROW_GROUP_ROWS = 1 << 19
"""Of files that PyArrow writes; what a task holds in memory."""
COPIED_BYTES = 8 << 20
ROW_GROUP_BYTES = 16 << 20
"""Of files that Spark writes."""

GLOB_CHARACTERS = re.compile(r"[][{}*?\\]")
"""Spark takes every path that it reads for a pattern."""


class Storage(Protocol):
    """Where the files are.

    Paths of `read` are files or folders; the one of `write` is a folder, and what it gives is where to read the rows.
    """

    def read(self, session: SparkSession, paths: Sequence[str], schema: StructType) -> DataFrame: ...

    def write(self, rows: DataFrame, path: str) -> list[str]: ...


LOCALISED, LOWERED = "IJÌÍĨĮ", "ijìíĩį"
DOTTED_I, LOWERED_DOTTED_I = "\u0130", "i\u0307"


def lower_cased(word: str) -> Column:
    """The column `word` in lower case, as `word_count.py` has it: this file is submitted alone."""
    return F.lower(F.replace(F.translate(word, LOCALISED, LOWERED), F.lit(DOTTED_I), F.lit(LOWERED_DOTTED_I)))


def count_batch(
    session: SparkSession, place: Storage, tokens: Sequence[str], pictures: Sequence[str], into: str
) -> None:
    """Write the folders `into`counts and `into`totals; the totals are taken from the counts as written."""
    shown = place.read(session, pictures, PICTURES)  # if they are missing, nothing is overwritten
    written = place.write(count_documents(place.read(session, tokens, TOKENS)), f"{into}counts")
    place.write(total(place.read(session, written, COUNTS), shown), f"{into}totals")


def count_documents(tokens: DataFrame) -> DataFrame:
    """Tokens -> `COUNTS`, the rows of a document together and in order.

    Integers are summed, so that the result does not depend on the order in which parts of the data arrive.
    """
    return (
        tokens.where("word IS NOT NULL")
        .repartition("document")  # the only shuffle: documents repeat few words, so to sum up before it saves little
        .groupBy("document", lower_cased("word").alias("word"))
        .agg(F.count("*").alias("count"), F.sum(F.col("confidence").cast("long")).alias("confidence"))
        .sortWithinPartitions("document", F.desc("count"), "word")
    )


def total(counts: DataFrame, pictures: DataFrame) -> DataFrame:
    """Counts of documents -> word, count, documents over all pictures; a document counts once for each of them."""
    shown = pictures.where("document IS NOT NULL").groupBy("document").agg(F.count("*").alias("pictures"))
    return (
        counts.join(shown, "document")
        .groupBy("word")
        .agg(F.sum(F.col("count") * F.col("pictures")).alias("count"), F.sum("pictures").alias("documents"))
        .orderBy(F.desc("count"), "word")
    )


class Paths:
    """Files that Spark itself can read and write, whatever they are called."""

    def read(self, session: SparkSession, paths: Sequence[str], schema: StructType) -> DataFrame:
        if not paths:
            return session.createDataFrame([], schema)
        literal = [GLOB_CHARACTERS.sub(r"\\\g<0>", path) for path in paths]
        rows = session.read.option("recursiveFileLookup", True).parquet(*literal)  # a=b in a path is no column
        return rows.select(*(F.col(field.name).cast(field.dataType) for field in schema))

    def write(self, rows: DataFrame, path: str) -> list[str]:
        options = {"parquet.block.size": ROW_GROUP_BYTES, "mapreduce.fileoutputcommitter.marksuccessfuljobs": False}
        rows.write.mode("overwrite").options(**options).parquet(path)
        return [path]


class Piece(NamedTuple):
    """Every `of`-th row group of a file, beginning with the one of this number."""

    path: str
    number: int
    of: int


class ArrowS3(NamedTuple):
    """s3://bucket/key by PyArrow, in the executors, with the credentials that are found there."""

    endpoint: str = ""
    region: str = ""

    def read(self, session: SparkSession, paths: Sequence[str], schema: StructType) -> DataFrame:
        """Raises `FileNotFoundError` for a folder in which there is nothing."""
        if not paths:
            return session.createDataFrame([], schema)
        found = {path: self._files(path) for path in paths}
        if missing := [path for path, files in found.items() if not files]:
            raise FileNotFoundError(f"there is no Parquet file in {', '.join(missing[:3])}")
        files = [file for files in found.values() for file in files]
        from pyspark.sql.pandas.types import to_arrow_schema

        share = -(-LEAST_PIECES // len(files))
        pieces = [Piece(file, number, share) for file in files for number in range(share)]
        tasks = min(len(pieces), MOST_PIECES)
        columns = to_arrow_schema(schema)

        def read(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
            for batch in batches:
                for task in batch.column(0).to_pylist():
                    for piece in pieces[task::tasks]:
                        yield from self._batches(piece, columns)

        return session.range(0, tasks, 1, tasks).mapInArrow(read, schema)

    def write(self, rows: DataFrame, path: str) -> list[str]:
        """Each partition is one object, which appears when it is whole; a task done again writes the same object."""

        def write(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
            import pyarrow

            context = TaskContext.get()
            assert context is not None
            file = f"{path}/part-{context.partitionId():05d}.parquet"
            if self._save(batches, file):
                yield pyarrow.RecordBatch.from_pydict({"file": [file]})

        written = {row.file for row in rows.mapInArrow(write, "file string").collect()} or {
            self._write_none(rows, path)
        }
        for file in set(self._files(path)) - written:  # of an earlier count
            self._system().delete_file(_bare(file))
        return sorted(written)

    def _write_none(self, rows: DataFrame, path: str) -> str:
        """A file without rows: PyArrow would mark a folder whose last file goes by an object that is no Parquet."""
        import pyarrow
        from pyspark.sql.pandas.types import to_arrow_schema

        file = f"{path}/part-00000.parquet"
        self._save(iter([pyarrow.RecordBatch.from_pylist([], to_arrow_schema(rows.schema))]), file)
        return file

    def _batches(self, piece: Piece, columns: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        from pyarrow.parquet import ParquetFile

        with self._system().open_input_file(_bare(piece.path)) as stream:
            file = ParquetFile(stream)
            groups = list(range(piece.number, file.num_row_groups, piece.of))
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns.names) if groups else ():
                yield batch.select(columns.names).cast(columns)

    def _save(self, batches: Iterator[pyarrow.RecordBatch], path: str) -> bool:
        """Write the batches, if there are any, and say whether there were.

        They are gathered on Spark's own disk first: PyArrow would complete an upload whose task breaks off.
        """
        from pyarrow.parquet import ParquetWriter

        first = next(batches, None)
        if first is None:
            return False
        with TemporaryFile(dir=os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or None) as gathered:
            with ParquetWriter(gathered, first.schema, compression="zstd") as writer:
                for group in _row_groups(chain([first], batches)):
                    writer.write_table(group)
            gathered.seek(0)
            with self._system().open_output_stream(_bare(path)) as uploaded:
                copyfileobj(gathered, uploaded, COPIED_BYTES)
        return True

    def _files(self, path: str) -> list[str]:
        """The Parquet files of a folder; a file itself."""
        from pyarrow.fs import FileSelector

        if path.endswith(".parquet"):
            return [path]
        found = self._system().get_file_info(FileSelector(_bare(path), allow_not_found=True, recursive=True))
        return sorted(f"s3://{each.path}" for each in found if each.path.endswith(".parquet"))

    def _system(self) -> S3FileSystem:
        from pyarrow.fs import S3FileSystem

        if self.endpoint:  # others than AWS may not know checksums in trailers
            os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
            os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        scheme, _, host = self.endpoint.rpartition("://")
        return S3FileSystem(region=self.region or None, scheme=scheme or "https", endpoint_override=host or None)


def _row_groups(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.Table]:
    """The batches, gathered into tables of a good size."""
    import pyarrow

    held: list[pyarrow.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP_ROWS:
            yield pyarrow.Table.from_batches(held)
            held, rows = [], 0
    if held:
        yield pyarrow.Table.from_batches(held)


def _bare(path: str) -> str:
    return path.removeprefix("s3://")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 2 when the input is missing or does not have the columns."""
    parser = argparse.ArgumentParser(
        prog="spark-submit batch_count.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tokens", required=True, nargs="*", help="Parquet files or folders")
    parser.add_argument("--pictures", required=True, nargs="*", help="Parquet files or folders")
    parser.add_argument("--output", required=True, help="folder for counts and totals")
    parser.add_argument("--s3", choices=["hadoop", "arrow"], default="hadoop", help="who reads s3:// (hadoop)")
    parser.add_argument("--endpoint", default="", help="of an S3 that is not AWS, with --s3 arrow")
    parser.add_argument("--region", default="", help="of S3, with --s3 arrow")
    options, _ = parser.parse_known_args(arguments)  # Glue adds options of its own
    place = ArrowS3(options.endpoint, options.region) if options.s3 == "arrow" else Paths()
    session = SparkSession.builder.appName("batch_count").getOrCreate()
    try:
        count_batch(session, place, options.tokens, options.pictures, options.output.rstrip("/") + "/")
    except (AnalysisException, FileNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        sys.stderr.write(f"batch_count: the input cannot be counted: {reason}\n")
        return 2
    finally:
        session.stop()
    return 0


if __name__ == "__main__":
    if code := main():  # some who run this file in a program of theirs take every exit for a failure
        sys.exit(code)
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]  # executors need not have this file
