"""Memory of the process that works on a batch: python -m benchmarks.memory [--json].

Of the run itself, without those who read (sandboxed children) and without Spark's JVM, which have limits of their own.
Beside it stands the same for a quarter of the pictures: it should make no difference.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.batches import COMMAND, benchmark_machine, folder_of, run_batch
from benchmarks.pages import page
from tests.support.machine import Machine

MEGABYTE = 1024 * 1024
EVERY = 0.1  # seconds


class Peaks:
    """The most memory (MB) of each kind of process on a machine, looked at again and again."""

    def __init__(self, machine: Machine) -> None:
        self.run = self.others = 0.0
        self._machine = machine
        self._is_over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(EVERY):
            run, others = 0, 0
            for process in self._machine.processes():
                try:
                    resident = process.memory_info().rss
                    is_run = process.cmdline()[1:3] == COMMAND[1:]
                except psutil.Error:
                    continue
                run, others = (run + resident, others) if is_run else (run, others + resident)
            self.run = max(self.run, run / MEGABYTE)
            self.others = max(self.others, others / MEGABYTE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory of a batch's process.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.add_argument("--short", action="store_true", help="a few pictures only: whether it works")
    parser.add_argument("--pictures", type=int, help="pictures of the batch (500)")
    asked = parser.parse_args()
    pictures = asked.pictures or (8 if asked.short else 500)
    with (
        tempfile.TemporaryDirectory(prefix="inktally-memory-", ignore_cleanup_errors=True) as folder,
        benchmark_machine(Path(folder)) as machine,
    ):
        figures = measured(machine, Path(folder), pictures)
    rows = "".join(f"{name:24} {value}\n" for name, value in figures.items())
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else rows)
    return 0


def measured(machine: Machine, folder: Path, pictures: int) -> dict[str, float]:
    made = [page(folder / "made" / f"{number:05}.png", number) for number in range(pictures)]
    some = _peaks(machine, folder_of(made[: pictures // 4], folder / "some"))
    begun = time.monotonic()
    all_of_them = _peaks(machine, folder_of(made, folder / "all"))
    return {
        "pictures": pictures,
        "peak_mb": round(all_of_them.run, 1),
        "peak_mb_of_a_quarter": round(some.run, 1),
        "growth": round(all_of_them.run / some.run, 3),
        "peak_mb_of_others": round(all_of_them.others, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _peaks(machine: Machine, pages: Path) -> Peaks:
    peaks = Peaks(machine)
    with peaks.watching():
        batch = run_batch(machine, pages, f"store-{pages.name}")
    assert batch.pictures == len(list(pages.iterdir()))
    return peaks


if __name__ == "__main__":
    sys.exit(main())
