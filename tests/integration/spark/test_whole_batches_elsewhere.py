"""Whole batches, counted by a Connect server, on a cluster and under spark-submit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from inktally.counters.spark import SparkCounter, build
from inktally.errors import BadSettings, CountFailed
from inktally.ports import Store
from inktally.settings import Settings
from spark_jobs.batch_count import TOKENS, ArrowS3
from tests.support.clusters import Cluster, running_cluster
from tests.support.fixtures import SharedSpark, refuse_ours
from tests.support.machine import PROJECT, environment_of_servers
from tests.support.parts import VARIED, Batch, Large, begun, bucket, count, once, skewed, written
from tests.support.proxy import proxied
from tests.support.servers import SECRET_KEY, S3Server, SparkServer, running_spark
from tests.support.sparks import QUICK, SUBMIT


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PYTHONPATH on which nothing of ours can be imported; every Python with it leaves a file there."""
    return refuse_ours(tmp_path_factory.mktemp("here") / "strangers")


@pytest.fixture
def mortal(
    s3_environment: None,  # noqa: ARG001 - the server has the credentials from its environment
    strangers: Path,
    tmp_path: Path,
) -> Iterator[SparkServer]:
    """A Connect server that a test may kill."""
    with running_spark(tmp_path, environment_of_servers(PYTHONPATH=strangers, PYSPARK_PYTHON=sys.executable)) as server:
        yield server


@pytest.fixture(scope="module")
def connected(spark: SharedSpark, prepared: Settings) -> Iterator[SparkCounter]:
    shared = build(prepared.model_copy(update={"spark_remote": spark.address}))
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def cluster(
    s3_environment: None,  # noqa: ARG001 - so have its workers
    strangers: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(strangers))
        with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
            yield running


def run(command: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, and without what PySpark has left in this process's environment."""
    inherited = {name: value for name, value in os.environ.items() if "SPARK" not in name}
    return subprocess.run(
        command, cwd=folder, env=inherited | variables, capture_output=True, text=True, timeout=200, check=False
    )


# Spark Connect


def test_a_connect_server_counts_a_folder(connected: SparkCounter, folder: Store) -> None:
    count(connected, folder, VARIED)
    assert written(folder, "batch/") == VARIED.counts()


def test_a_connect_server_counts_a_bucket_and_holds_no_secret(
    spark: SharedSpark, prepared: Settings, s3: S3Server
) -> None:
    (spark.strangers / "was-here").unlink(missing_ok=True)
    _, store = bucket(s3)
    counter = build(prepared.model_copy(update={"spark_remote": spark.address, **s3.in_settings()}))
    for batch in (VARIED, Batch([[]], [["a"]]), skewed(20_000)):
        count(counter, store, batch)
        assert written(store, "batch/") == batch.counts()
    assert (spark.strangers / "was-here").exists()
    assert SECRET_KEY not in spark.log.read_text("utf-8")


def test_the_plan_of_reading_a_bucket_holds_no_secret(spark: SharedSpark, s3: S3Server) -> None:
    address, store = bucket(s3)
    tokens, _ = VARIED.put(store, "")
    session = SparkSession.builder.remote(spark.address).create()
    try:
        rows = ArrowS3(s3.endpoint, "us-east-1").read(session, [f"{address}/{key}" for key in tokens], TOKENS)
        plan = rows._plan.to_proto(session.client).SerializeToString()  # noqa: SLF001 - what is sent
    finally:
        session.stop()
    assert s3.endpoint.encode() in plan
    assert SECRET_KEY.encode() not in plan


def test_refused_credentials_are_told_as_such(spark: SharedSpark, prepared: Settings, ceph: S3Server) -> None:
    def forge(request: BaseHTTPRequestHandler) -> None:
        signed = request.headers["Authorization"]
        del request.headers["Authorization"]
        request.headers["Authorization"] = f"{signed[:-8]}00000000"

    _, store = bucket(ceph)
    tokens, pictures = VARIED.put(store, "")
    with proxied(ceph.endpoint, forge) as endpoint:
        settings = ceph.in_settings() | {"spark_remote": spark.address, "s3_endpoint": endpoint}
        with pytest.raises(CountFailed, match=r"ACCESS_DENIED|SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch|403"):
            build(prepared.model_copy(update=settings)).count_parts(store, tokens, pictures, "out/")


def test_missing_folders_of_a_bucket_are_a_failed_count_that_overwrites_nothing(
    spark: SharedSpark, prepared: Settings, s3: S3Server
) -> None:
    _, store = bucket(s3)
    store.put("batch/counts/part-00000.parquet", b"earlier")
    with_s3 = build(prepared.model_copy(update={"spark_remote": spark.address, **s3.in_settings()}))
    for tokens, pictures in ((["none"], []), ([], ["none"])):
        with pytest.raises(CountFailed, match=r"no Parquet file in s3://.*/none"):
            with_s3.count_parts(store, tokens, pictures, "batch/")
    assert store.read("batch/counts/part-00000.parquet") == b"earlier"


def test_results_go_to_paths_only(connected: SparkCounter, folder: Store) -> None:
    with pytest.raises(BadSettings, match="no path"):
        count(connected, folder, Batch([], []), "a//b/../")


def test_missing_tokens_are_a_failed_count(connected: SparkCounter, folder: Store) -> None:
    with pytest.raises(CountFailed, match="PATH_NOT_FOUND"):
        connected.count_parts(folder, ["none.parquet"], [], "batch/")


@pytest.mark.long
def test_after_a_connect_server_has_died_in_the_middle_a_batch_fails_and_the_next_one_is_whole(
    mortal: SparkServer, prepared: Settings, large: Large
) -> None:
    connected = build(prepared.model_copy(update={"spark_remote": mortal.address}))
    killer = threading.Thread(target=once, args=(begun(large[0], "connected/"), mortal.server.kill))
    killer.start()
    with pytest.raises(CountFailed):
        connected.count_parts(*large, "connected/")
    killer.join()
    mortal.server.start()
    count(connected, large[0], VARIED, "connected/")
    assert written(large[0], "connected/") == VARIED.counts()
    connected.close()


@pytest.mark.long
def test_a_batch_that_takes_too_long_is_stopped_on_a_connect_server(
    spark: SharedSpark, prepared: Settings, large: Large
) -> None:
    hurried = build(prepared.model_copy(update={"spark_remote": spark.address, "count_seconds": 1}))
    with pytest.raises(CountFailed, match="more than 1 second"):
        hurried.count_parts(*large, "late/")


# a cluster


@pytest.mark.long
def test_a_cluster_counts_a_folder_and_a_bucket_without_anything_of_ours(
    cluster: Cluster, prepared: Settings, s3: S3Server, folder: Store, strangers: Path
) -> None:
    (strangers / "was-here").unlink(missing_ok=True)
    address, objects = bucket(s3)
    calls = [(folder.uri, *VARIED.put(folder, ""), "out/"), (address, *VARIED.put(objects, ""), "out/")]
    script = f"""
from inktally import plugins
from inktally.settings import read_settings
settings = read_settings()
counter = plugins.counter(settings)
for uri, tokens, pictures, into in {calls!r}:
    counter.count_parts(plugins.store(uri, settings), tokens, pictures, into)
from pyspark.sql import SparkSession
print(SparkSession.builder.getOrCreate().sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1)
"""
    variables = {
        "INKTALLY_SPARK_MASTER": cluster.address,
        "INKTALLY_SCRATCH": str(prepared.scratch),
        "INKTALLY_CLASS_DATA": str(prepared.class_data),
        "INKTALLY_S3_ENDPOINT": s3.endpoint,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": "",
    }
    done = run([sys.executable, "-c", script], PROJECT, variables)
    assert done.returncode == 0, done.stderr
    assert (done.stderr, done.stdout) == ("", "2\n")
    assert written(folder, "out/") == VARIED.counts()
    assert written(objects, "out/") == VARIED.counts()
    assert (strangers / "was-here").exists()


# spark-submit


def submit(script: Path, strangers: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the job from another folder."""
    options = ["--master", "local[2]", "--driver-java-options", QUICK, "--conf", "spark.ui.enabled=false"]
    variables = {"PYTHONPATH": str(strangers), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return run([str(SUBMIT), *options, str(script), *arguments], script.parent, variables)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return Path(shutil.copy(PROJECT / "spark_jobs" / "batch_count.py", tmp_path / "elsewhere"))


@pytest.mark.long
def test_the_one_file_runs_under_spark_submit(copied: Path, strangers: Path, folder: Store) -> None:
    VARIED.put(folder, "")
    places = [f"--{name}={folder.uri}/{name}" for name in ("tokens", "pictures")]
    done = submit(copied, strangers, *places, "--output", f"{folder.uri}/out", "--JOB_NAME", "of Glue")
    assert done.returncode == 0, done.stderr
    for checksum in Path(folder.uri).rglob("*.crc"):
        checksum.unlink()
    assert written(folder, "out/") == VARIED.counts()


@pytest.mark.long
def test_the_one_file_reads_a_bucket_by_arrow_under_spark_submit(copied: Path, strangers: Path, s3: S3Server) -> None:
    address, store = bucket(s3)
    VARIED.put(store, "")
    places = [f"--{name}={address}/{name}" for name in ("tokens", "pictures")]
    arrow = ["--s3", "arrow", "--endpoint", s3.endpoint, "--region", "us-east-1"]
    done = submit(copied, strangers, *places, "--output", f"{address}/out", *arrow)
    assert done.returncode == 0, done.stderr
    assert written(store, "out/") == VARIED.counts()
    assert SECRET_KEY not in done.stdout + done.stderr


@pytest.mark.long
def test_missing_input_is_told_in_a_line_under_spark_submit(copied: Path, strangers: Path, tmp_path: Path) -> None:
    done = submit(copied, strangers, "--tokens", f"{tmp_path}/none", "--pictures", "--output", f"{tmp_path}/out")
    assert done.returncode == 2
    [told] = [line for line in done.stdout.splitlines() if line.startswith("batch_count: ")]  # Spark joins both outputs
    assert told.startswith("batch_count: the input cannot be counted: [PATH_NOT_FOUND]")
    assert f"{tmp_path}/none" in told
