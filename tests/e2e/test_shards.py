"""A batch that two workers share, one of which is killed half-way."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_batch import BATCH, recounted, totals
from tests.support.machine import PROJECT, Machine, draw, ended, eventually, new_machine
from tests.support.stack import kill_run

PICTURES = 12
SHARDS = "4"
PATIENCE = 400
"""Seconds until two workers have started and read three pictures, and again until all are answered: two busy cores took
fifty for each."""


@pytest.fixture
def pool(tmp_path: Path, prefect_server: str, spark_server: str) -> Iterator[Machine]:
    """A machine whose Prefect server knows the deployments; workers are to be started."""
    settings = {
        "PREFECT_API_URL": prefect_server,
        "INKTALLY_SPARK_REMOTE": spark_server,
        "INKTALLY_LEASE_SECONDS": "10",  # which a busy machine keeps
        "INKTALLY_RECOGNITION_WORKERS": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    with new_machine(tmp_path, **settings) as machine:
        machine.command = BATCH
        for command in (
            ["work-pool", "create", "inktally", "--type", "warm-process", "--overwrite"],
            ["--no-prompt", "deploy", "--all"],
        ):
            done = subprocess.run(
                ["prefect", *command], cwd=PROJECT, env=machine.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        yield machine


def start_worker(machine: Machine, name: str) -> subprocess.Popen[bytes]:
    command = ["prefect", "worker", "start", "--pool", "inktally", "--type", "warm-process", "--limit", "1"]
    with (machine.folder / f"{name}.out").open("wb") as log:
        return subprocess.Popen(
            [*command, "--name", name], cwd=PROJECT, env=machine.environment, stdout=log, stderr=subprocess.STDOUT
        )


@pytest.mark.long
@pytest.mark.timeout(3 * PATIENCE)
def test_two_workers_share_a_batch_and_one_does_not_survive_it(pool: Machine) -> None:
    folder = pool.folder / "pictures"
    for number in range(PICTURES):
        draw(folder / f"{number}.png", f"shared words {'abc'[number % 3] * 5}")
        draw(folder / f"again {number}.png", f"shared words {'abc'[number % 3] * 5}")
    for number in range(PICTURES):
        draw(folder / f"own {number}.png", "\n".join(["own words"] * (number + 1)))
    pool.slow_down_tesseract(1.0)
    workers = [start_worker(pool, name) for name in ("first", "second")]
    batch = pool.start(folder, "--json", "--shards", SHARDS)
    recognitions = pool.store / "recognitions"

    eventually(lambda: len(list(recognitions.rglob("*.json"))) >= 3, PATIENCE)
    kill_run(workers[0].pid)

    run = ended(batch, PATIENCE)
    assert (run.status, run.only["tally"]["answered"]) == (0, 3 * PICTURES), run.stderr
    assert run.only["tally"]["recognised"] + run.only["tally"]["known"] == 3 * PICTURES
    assert totals(run.only) == recounted(pool)
    assert psutil.pid_exists(workers[1].pid)
    for worker in workers:
        worker.kill()
        worker.wait()
    contents = Counter(path.parent.name for path in recognitions.rglob("*.json") if ".counts." not in path.name)
    assert max(contents.values()) == 1
    assert pool.recognitions() <= len(contents) + 2  # what was read and what was put away when the worker was killed
    assert not list((pool.store / "batches").rglob("*.*"))


def test_shards_without_a_deployment_say_what_is_missing(connected: Machine, tmp_path: Path) -> None:
    draw(tmp_path / "pictures" / "a.png", "words")
    connected.command = BATCH
    run = connected.run(tmp_path / "pictures", "--shards", "2", PREFECT_API_URL="")
    assert (run.status, "There is no deployment batch-shard/on-demand" in run.stderr) == (1, True)
    assert "Traceback" not in run.stderr
