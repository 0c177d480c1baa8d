"""Batches as the benchmarks run them: the command itself, on a machine of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.machine import PROJECT, Machine, draw, new_machine
from tests.support.prefect_servers import new_server, running_postgres
from tests.support.servers import running_spark

POOL = "inktally"
COMMAND = [sys.executable, "-m", "flows.batch_flow"]
ONLY_TESSERACT = {"INKTALLY_ENGINE": "tesseract", "INKTALLY_IMAGING": "false", "INKTALLY_TESSERACT": ""}
"""What makes the work the same as that of the command `tesseract`."""


@dataclass(frozen=True)
class Batch:
    """How a batch ended: its summary, and how long the command took, from its start to its end."""

    summary: Mapping[str, Any]
    seconds: float
    store: Path

    @property
    def pictures(self) -> int:
        return int(self.summary["tally"]["answered"])

    def text(self, page: Path) -> str:
        """What was read on a page."""
        (found,) = self.store.glob(f"output/ocr_plain_text/*/{page.name}.txt")
        return found.read_text()


@contextmanager
def benchmark_machine(folder: Path) -> Iterator[Machine]:
    """A machine with a Prefect server and a Spark Connect server, as `make up` keeps them, which have been used."""
    with ExitStack() as stack:
        server = new_server(_made(folder / "prefect"), stack.enter_context(running_postgres()))
        stack.enter_context(server.running())
        server.prefect("work-pool", "create", POOL, "--type", "warm-process")
        server.prefect("deploy", "--all")
        spark = stack.enter_context(running_spark(_made(folder / "spark")))
        servers = {"PREFECT_API_URL": server.api, "INKTALLY_SPARK_REMOTE": spark.address}
        machine = stack.enter_context(new_machine(folder / "machine", **ONLY_TESSERACT, **servers))
        run_batch(machine, folder_of([draw(folder / "first.png", "the first")], folder / "first"), "first")
        yield machine


def run_batch(machine: Machine, pages: Path, store: str, *options: str) -> Batch:
    """Count the pages of a folder into a new store."""
    begun = time.monotonic()
    done = subprocess.run(
        [*COMMAND, str(pages), "--store", str(machine.folder / store), "--json", *options],
        cwd=PROJECT,
        env=machine.environment,
        stdout=subprocess.PIPE,
        stderr=(machine.folder / "batch.log").open("ab"),
        check=False,
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        raise RuntimeError(f"the batch failed; see {machine.folder / 'batch.log'}")
    return Batch(json.loads(done.stdout), seconds, machine.folder / store)


def folder_of(pages: Sequence[Path], folder: Path, copies: int = 1) -> Path:
    """A folder with so many copies of each page, under names of their own."""
    folder.mkdir(parents=True)
    for page in pages:
        for number in range(copies):
            name = f"{page.stem}-{number}{page.suffix}" if copies > 1 else page.name
            (folder / name).write_bytes(page.read_bytes())
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
