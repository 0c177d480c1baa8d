"""Counts words with Spark: in a JVM of this process, or on a Spark Connect server.

Words go to Spark as the path of a Parquet file, never as rows, and all documents go in one job. Why, and what it
costs: docs/decisions/0003-words-reach-spark-as-a-file.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, TypeVar

from inktally.counters.spark.jvm import Running
from inktally.counters.spark.session import session_for_big_jobs, shared_session
from inktally.document import CountedWord, Token, WordCounts
from inktally.errors import BadSettings, CountFailed, InktallyError
from inktally.ports import Store
from inktally.scratch import scratch_folder
from inktally.settings import Settings

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import SparkSession


Result = TypeVar("Result")

LOWER_BY_ICU = "spark.sql.icu.caseMappings.enabled"
FIRST_AFTER_LATIN = "\u0370"
"""Below this, Java lower-cases each letter for itself and by tables that no longer change, exactly as ICU does."""

GLOB_CHARACTERS = re.compile(r"[][{}*?\\]")
"""Spark takes every path for a pattern."""

FILES_A_PARTITION, MOST_PARTITIONS = 2, 4000
"""Files have a quarter of a million tokens at most: what two have is counted in memory, and a large batch costs no more
a token than a small one."""

WARM_UP = {"": [Token(text="word", confidence=100, words=(0,))]}


class SparkCounter:
    """Counts on the session that all counters of the process share. With `for_parts` what it starts suits big jobs."""

    def __init__(self, settings: Settings, *, for_parts: bool = False) -> None:
        self._settings = settings
        self._for_parts = for_parts
        self._session = shared_session(settings)

    def warm_up(self) -> None:
        """Begin to start the session and to run a first small job, without waiting."""
        self._begin()

    @property
    def is_ready(self) -> bool:
        """Whether the session has started, or has failed to, or nobody has asked for it."""
        return not self._session.is_starting

    def count(self, documents: Mapping[str, Sequence[Token]]) -> dict[str, WordCounts]:
        """Takes at most INKTALLY_COUNT_SECONDS. Raises `CountFailed`, `MissingTool` without Java.

        After a failure the next call starts a new session.
        """
        if not any(documents.values()):
            return {name: WordCounts(words=()) for name in documents}
        return self._limited(lambda running: _count(running.session, documents, self._settings.scratch))

    def count_parts(self, store: Store, tokens: Sequence[str], pictures: Sequence[str], into: str) -> None:
        """In a session of its own on the same Spark, set up for big jobs; as long as `count` at most."""

        def job(running: Running) -> None:
            with session_for_big_jobs(running, self._settings) as session:
                _count_parts(session, store, self._settings, tokens, pictures, into)

        self._limited(job)

    def _limited(self, job: Callable[[Running], Result]) -> Result:
        """What the job gives. Raises `CountFailed` when it takes too long; after a failure the session is ended."""
        running, seconds, begun = self._begin(), self._settings.count_seconds, time.monotonic()
        limit = Timer(seconds, self._session.end, (running,))
        limit.daemon = True
        limit.start()
        try:
            return job(running.result(seconds))
        except InktallyError:
            self._session.end(running)
            raise
        except Exception as error:
            reason = _summary(error)  # asks the JVM, while there is one
            if time.monotonic() - begun >= seconds:
                reason = (
                    f"it took more than {seconds:g} seconds; raise INKTALLY_COUNT_SECONDS if there is so much to count"
                )
            self._session.end(running)
            raise CountFailed(f"Spark did not count the words: {reason}") from error
        finally:
            limit.cancel()

    def close(self) -> None:
        """End the session, if there is one, and wait for its JVM to go. The next count starts a new one."""
        self._session.end()

    def _begin(self) -> Future[Running]:
        return self._session.begin(
            self._settings,
            lambda session: _count(session, WARM_UP, self._settings.scratch),
            for_parts=self._for_parts,
        )


def _count(session: SparkSession, documents: Mapping[str, Sequence[Token]], scratch: Path) -> dict[str, WordCounts]:
    from pyspark.sql.types import StructType

    from spark_jobs.word_count import count_words

    texts = (token.text for tokens in documents.values() for token in tokens)
    if not all(text.isascii() or max(text) < FIRST_AFTER_LATIN for text in texts):
        session.conf.set(LOWER_BY_ICU, value=True)  # never off again: another thread's job may be under way
    schema = StructType().add("document", "string").add("word", "string").add("confidence", "integer")
    with scratch_folder(scratch.absolute()) as folder:
        _write(documents.values(), folder / "tokens.parquet")
        path = GLOB_CHARACTERS.sub(r"\\\g<0>", f"file://{folder}/tokens.parquet")
        counted = count_words(session.read.schema(schema).parquet(path)).toArrow()
    return dict(zip(documents, _word_counts(len(documents), counted), strict=True))


def _write(documents: Collection[Sequence[Token]], file: Path) -> None:
    """Tokens as `count_words` takes them; a document is named by its number here, whatever it is called."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "document": [str(number) for number, tokens in enumerate(documents) for _ in tokens],
            "word": [token.text for tokens in documents for token in tokens],
            "confidence": pyarrow.array(
                [round(token.confidence * 100) for tokens in documents for token in tokens], pyarrow.int32()
            ),
        }
    )
    parquet.write_table(table, file, compression="none")  # a codec would be one more library for the JVM to load


def _word_counts(documents: int, counted: pyarrow.Table) -> Iterator[WordCounts]:
    """One for each document, in their order; rows come in the order in which a document's words are to stand."""
    words: list[list[CountedWord]] = [[] for _ in range(documents)]
    columns = (counted[name].to_pylist() for name in ("document", "word", "count", "confidence"))
    for document, word, count, hundredths in zip(*columns, strict=True):
        words[int(document)].append(CountedWord.summed(word, count, hundredths))
    return (WordCounts(words=tuple(entries)) for entries in words)


def _summary(error: Exception) -> str:
    """The beginning of an error of Spark's, which may go on for pages, without the indented lines of tracebacks."""
    told = [line for line in str(error).splitlines() if not line.startswith((" ", "\t"))]
    return " ".join(" ".join(told).split())[:300] or type(error).__name__


def _count_parts(
    session: SparkSession, store: Store, settings: Settings, tokens: Sequence[str], pictures: Sequence[str], into: str
) -> None:
    """Files of a store are counted where they are: by path in a folder, by PyArrow in a bucket."""
    from spark_jobs.batch_count import ArrowS3, Paths, count_batch

    partitions = min(1 + len(tokens) // FILES_A_PARTITION, MOST_PARTITIONS)
    session.conf.set("spark.sql.shuffle.partitions", partitions)
    if store.uri.startswith("s3://"):
        bucket = ArrowS3(settings.s3_endpoint, settings.s3_region)
        count_batch(session, bucket, *_addresses(store, "", tokens, pictures), store.address(into))
    else:
        output = _folder(store, into)
        count_batch(session, Paths(), *_addresses(store, "file://", tokens, pictures), f"file://{output}")
        _remove_checksums(output)


def _addresses(
    store: Store, scheme: str, tokens: Sequence[str], pictures: Sequence[str]
) -> tuple[list[str], list[str]]:
    return [f"{scheme}{store.address(key)}" for key in tokens], [f"{scheme}{store.address(key)}" for key in pictures]


def _folder(store: Store, into: str) -> str:
    """What the paths of results begin with. Raises `BadSettings` for keys that are no paths below a folder store."""
    counts = Path(store.address(f"{into}counts/part"))
    if counts.parts[-2:] != (f"{into}counts".rpartition("/")[2], "part"):
        raise BadSettings(f"Results cannot be written below {into!r} in {store.uri}: it is no path.")
    return str(counts.parent).removesuffix("counts")


def _remove_checksums(output: str) -> None:
    """Hadoop writes one beside each file, and nobody reads them."""
    for name in ("counts", "totals"):
        for file in Path(f"{output}{name}").glob(".*.crc"):
            file.unlink(missing_ok=True)


build = SparkCounter
