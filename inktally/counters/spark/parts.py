"""Counting Parquet files of a store where they are: by path in a folder, by PyArrow in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inktally.errors import BadSettings
from inktally.ports import Store
from inktally.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILES_A_PARTITION, MOST_PARTITIONS = 2, 4000
"""Files have a quarter of a million tokens at most: what two have is counted in memory, and a large batch costs no more
a token than a small one."""


def count_parts(
    session: SparkSession, store: Store, settings: Settings, tokens: Sequence[str], pictures: Sequence[str], into: str
) -> None:
    """As `ports.Counter.count_parts` says."""
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
