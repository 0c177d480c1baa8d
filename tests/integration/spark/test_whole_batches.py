"""Whole batches, counted in this process."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from inktally import plugins
from inktally.counters.spark import SparkCounter, build
from inktally.errors import CountFailed
from inktally.ports import Store
from inktally.settings import Settings
from tests.support.parts import VARIED, Batch, Large, begun, bucket, count, once, skewed, written
from tests.support.servers import S3Server

ODD_FOLDER = "a b/100%20/[c]{d}*/a=b"


@pytest.mark.parametrize("batch", [VARIED, skewed()], ids=["varied", "skewed"])
def test_a_batch_is_counted_as_plain_python_does(batch: Batch, counter: SparkCounter, folder: Store) -> None:
    count(counter, folder, batch)
    assert written(folder, "batch/") == batch.counts()


@pytest.mark.usefixtures("counter")
def test_a_bucket_is_counted_as_a_folder_is(prepared: Settings, s3: S3Server) -> None:
    _, store = bucket(s3)
    with_s3 = build(prepared.model_copy(update=s3.in_settings()))
    for batch in (VARIED, Batch([], [])):
        count(with_s3, store, batch)
        assert written(store, "batch/") == batch.counts()


def test_a_folder_may_have_any_name(counter: SparkCounter, tmp_path: Path) -> None:
    store = plugins.store(str(tmp_path / ODD_FOLDER), Settings(_env_file=None))
    count(counter, store, VARIED, "x y/a=b/%41[1]/")
    assert written(store, "x y/a=b/%41[1]/") == VARIED.counts()


@pytest.mark.parametrize(
    "batch",
    [Batch([], []), Batch([[]], [[]]), Batch([], [["a", "b"]]), Batch([[("a", "word", 1)]], [])],
    ids=["no files", "files without rows", "pictures without tokens", "tokens without pictures"],
)
def test_empty_input_gives_empty_counts(batch: Batch, counter: SparkCounter, folder: Store) -> None:
    count(counter, folder, batch)
    assert written(folder, "batch/") == batch.counts()


def test_a_repeated_count_takes_the_place_of_the_earlier_one(counter: SparkCounter, folder: Store) -> None:
    count(counter, folder, VARIED)
    again = Batch([[("other", "Word", 5000)]], [["other"]])
    count(counter, folder, again)
    assert written(folder, "batch/") == again.counts()


def test_small_counts_keep_their_settings_beside_big_ones(counter: SparkCounter, folder: Store) -> None:
    count(counter, folder, VARIED)
    assert SparkSession.builder.getOrCreate().conf.get("spark.sql.shuffle.partitions") == "1"


@pytest.mark.long
def test_after_its_jvm_has_died_in_the_middle_a_batch_fails_and_the_next_one_is_whole(
    counter: SparkCounter, large: Large
) -> None:
    store = large[0]
    count(counter, store, Batch([], []))
    [jvm] = [each for each in psutil.Process().children(recursive=True) if is_mine(each)]
    killer = threading.Thread(target=once, args=(begun(store, "batch/"), jvm.kill))
    killer.start()
    with pytest.raises(CountFailed):
        counter.count_parts(*large, "batch/")
    killer.join()
    count(counter, store, VARIED)
    assert written(store, "batch/") == VARIED.counts()


def test_a_batch_that_takes_too_long_is_stopped(counter: SparkCounter, prepared: Settings, large: Large) -> None:
    count(counter, large[0], Batch([], []))
    hurried = build(prepared.model_copy(update={"count_seconds": 0.3}))
    with pytest.raises(CountFailed, match=r"more than 0\.3 seconds.*INKTALLY_COUNT_SECONDS"):
        hurried.count_parts(*large, "late/")


def is_mine(child: psutil.Process) -> bool:
    """The JVM of this process, none of the servers."""
    return "java" in child.name() and "pyspark-shell" in child.cmdline()
