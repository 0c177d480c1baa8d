"""Several processes share the tests of a run, since most tests wait for servers: who runs what, and what runs last."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

MOST_PROCESSES = 4
TIMING = "tests/timing"  # a folder, whose tests run last
SPARK = "tests/integration/spark"  # a folder, whose tests share one JVM
LONG = ("e2e/", "integration/spark/", "test_warm_worker.py", "test_trigger.py", "test_stores.py")
ORDER = (*LONG, "all others", TIMING)


class Scheduling(LoadFileScheduling):
    """The tests of a file stay in one process. Those that measure time run last, when no other process has any left."""

    def _split_scope(self, nodeid: str) -> str:
        together = (folder for folder in (SPARK, TIMING) if nodeid.startswith(f"{folder}/"))
        return next(together, None) or str(super()._split_scope(nodeid))

    def _reschedule(self, node: WorkerController) -> None:
        if TIMING in self.workqueue:
            self.workqueue.move_to_end(TIMING)
        if node.shutting_down or list(self.workqueue) != [TIMING]:
            super()._reschedule(node)
            return
        others = [each for each in self.nodes if each is not node]
        if not all(each.shutting_down for each in others):
            node.shutdown()  # it runs what it has, and leaves the rest to the last process
        elif not any(self._pending_of(self.assigned_work[each]) for each in others):
            super()._reschedule(node)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        super().mark_test_complete(node, item_index, duration)
        for each in self.nodes:
            if each is not node and node.shutting_down and not each.shutting_down:
                self._reschedule(each)  # it may be waiting for the end of this one


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each processor, but none besides this one for a single file: it starts sooner."""
    only = Path(config.args[0].partition("::")[0])
    return min(os.cpu_count() or 1, MOST_PROCESSES) if len(config.args) > 1 or only.is_dir() else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, the many small tests fill the gaps, and those that measure time come last."""
    items.sort(key=lambda item: next((at for at, name in enumerate(ORDER) if name in item.nodeid), len(LONG)))
