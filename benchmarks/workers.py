"""What a second worker is worth: a batch in shards, worked on by one worker of one core, and by two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.batches import Batch, benchmark_machine, run_batch
from tests.e2e.machine import Machine
from tests.prefect_servers import new_server, running_postgres
from tests.servers import process, wait_until

SHARDS = "8"
"""More than workers, so that none of them is idle for long in the end."""
POOL = "inktally"


def two_workers_over_one(folder: Path, pages: Path) -> float:
    """How many times faster two are: of the time from the batch's beginning until all is recognised."""
    with ExitStack() as stack:
        server = new_server(_made(folder / "prefect"), stack.enter_context(running_postgres()))
        stack.enter_context(server.running())
        server.prefect("work-pool", "create", POOL, "--type", "warm-process")
        server.prefect("deploy", "--all")
        settings = {"PREFECT_API_URL": server.api, "PREFECT_WORKER_QUERY_SECONDS": "1"}
        machine = stack.enter_context(benchmark_machine(folder / "machine", **settings))
        with _worker(machine, 0):
            one = run_batch(machine, pages, "one", "--shards", SHARDS)
            with _worker(machine, 1):
                two = run_batch(machine, pages, "two", "--shards", SHARDS)
    return round(_seconds(one) / _seconds(two), 3)


def _seconds(batch: Batch) -> float:
    return float(batch.summary["seconds"]["recognise"])


@contextmanager
def _worker(machine: Machine, number: int) -> Iterator[None]:
    """A worker of one core, with all that it starts; it does one shard at a time."""
    core = sorted(os.sched_getaffinity(0))[number]
    own = {"INKTALLY_RECOGNITION_WORKERS": "1", "INKTALLY_SCRATCH": str(_made(machine.folder / f"scratch-{number}"))}
    environment = [f"{name}={value}" for name, value in {**machine.environment, **own}.items()]
    command = ["env", "-i", *environment, "taskset", "-c", str(core)]
    command += ["prefect", "worker", "start", "--pool", POOL, "--type", "warm-process", "--limit", "1"]
    log = machine.folder / f"worker-{number}.log"
    with process(command, log) as worker:
        wait_until(lambda: b"started!" in log.read_bytes(), worker)
        yield


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
