"""A batch that two workers share, one of which is killed half-way."""

from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from tests.e2e.test_batch import BATCH, recounted, totals
from tests.support.forks import Forks
from tests.support.machine import PROJECT, Machine, draw, ended
from tests.support.prefect_servers import Deployments, PrefectServer
from tests.support.stack import Shared, kill_run
from tests.support.waiting import eventually

SHARD, POOL = "flows/batch_flow.py:batch_shard", "shards"
PICTURES = 12
SHARDS = "4"
PATIENCE = 400
"""Seconds until two workers have started and read three pictures, and again until all are answered: two busy cores took
fifty for each."""


@pytest.fixture
def machine(connected: Machine) -> Machine:
    """Where batches begin."""
    connected.command = BATCH
    connected.environment |= {"INKTALLY_LEASE_SECONDS": "10"}  # which a busy machine keeps
    return connected


@pytest.fixture
def pool(machine: Machine, prefect: PrefectServer, forks: Forks) -> Machine:
    """A machine whose Prefect server knows the deployment; workers are to be started."""
    machine.environment |= {"INKTALLY_RECOGNITION_WORKERS": "1", "PREFECT_WORKER_QUERY_SECONDS": "1"}
    prefect.make_pool(forks, POOL)
    prefect.deploy(forks, Deployments("", POOL, [SHARD]))
    return machine


def start_worker(machine: Machine, name: str) -> subprocess.Popen[bytes]:
    command = ["prefect", "worker", "start", "--pool", POOL, "--type", "warm-process", "--limit", "1"]
    with (machine.folder / f"{name}.out").open("wb") as log:
        return subprocess.Popen(
            [*command, "--name", name], cwd=PROJECT, env=machine.environment, stdout=log, stderr=subprocess.STDOUT
        )


def test_runs_of_a_worker_share_a_batch(machine: Machine, prefect: PrefectServer, forks: Forks, shared: Shared) -> None:
    prefect.deploy(forks, Deployments("", shared.pool, [SHARD], environment=machine.settings_of_runs()))
    folder = machine.folder / "pictures"
    for name, text in {"a": "shared words", "again": "shared words", "b": "other words", "c": "more of them"}.items():
        draw(folder / f"{name}.png", text)
    run = machine.run(folder, "--json", "--shards", "2")
    assert run.status == 0, run.stderr
    assert {name: run.only["tally"][name] for name in ("answered", "recognised", "known")} == {
        "answered": 4,
        "recognised": 3,
        "known": 1,
    }
    assert totals(run.only) == recounted(machine)
    assert len(prefect.runs("on-demand")) == 2
    assert not list((machine.store / "batches").rglob("*.*"))


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


def test_shards_without_a_deployment_say_what_is_missing(
    machine: Machine, prefect_client: SyncPrefectClient, tmp_path: Path
) -> None:
    with suppress(ObjectNotFound):
        prefect_client.delete_deployment(prefect_client.read_deployment_by_name("batch-shard/on-demand").id)
    draw(tmp_path / "pictures" / "a.png", "words")
    run = machine.run(tmp_path / "pictures", "--shards", "2")
    assert (run.status, "There is no deployment batch-shard/on-demand" in run.stderr) == (1, True)
    assert "Traceback" not in run.stderr
