"""What a second worker is worth: a batch in shards, worked on by one worker of one core, and by two."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.batches import POOL, Batch, run_batch
from benchmarks.pages import seconds_of_xargs
from tests.support.machine import Machine
from tests.support.servers import process
from tests.support.waiting import wait_until

SHARDS = "16"
"""More than workers, so that none of them is idle for long in the end."""


def two_workers_over_one(machine: Machine, pages: Path) -> float:
    """How many times faster two are: of the time from the batch's beginning until all is recognised."""
    with _worker(machine, 0):
        one = run_batch(machine, pages, "one-worker", "--shards", SHARDS)
        with _worker(machine, 1):
            two = run_batch(machine, pages, "two-workers", "--shards", SHARDS)
    return round(_seconds(one) / _seconds(two), 3)


def two_cores_over_one(pages: Sequence[Path]) -> float:
    """The same of the command `tesseract`: what the machine itself gives just now, without any of us."""
    first = str(min(os.sched_getaffinity(0)))
    one = seconds_of_xargs(pages, "taskset", "-c", first, "tesseract", "{}", "{}", "-l", "eng")
    return round(one / seconds_of_xargs(pages), 3)


def _seconds(batch: Batch) -> float:
    return float(batch.summary["seconds"]["recognise"])


@contextmanager
def _worker(machine: Machine, number: int) -> Iterator[None]:
    """A worker of one core, with all that it starts; it does one shard at a time."""
    core = sorted(os.sched_getaffinity(0))[number]
    scratch = machine.folder / f"scratch-{number}"
    scratch.mkdir()
    own = {"INKTALLY_RECOGNITION_WORKERS": "1", "INKTALLY_SCRATCH": str(scratch)}
    environment = [f"{name}={value}" for name, value in {**machine.environment, **own}.items()]
    command = ["env", "-i", *environment, "taskset", "-c", str(core)]
    command += ["prefect", "worker", "start", "--pool", POOL, "--type", "warm-process", "--limit", "1"]
    log = machine.folder / f"worker-{number}.log"
    with process(command, log) as worker:
        wait_until(lambda: b"started!" in log.read_bytes(), worker)
        yield
