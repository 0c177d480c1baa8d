"""Several processes share the tests of a run, since most tests wait for servers: who runs what, and who runs alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

MOST_PROCESSES = 4
DOOR, ROOM = Path(__file__), Path(__file__).parent  # what is locked: the room by all who test, the door to enter it
BY_THEMSELVES = ("test_fault_suite.py", "test_up.py")  # of tests/e2e, whose others share a Prefect and a Spark
LONG = ("e2e/", "test_warm_worker.py", "test_trigger.py", "test_counting.py", "test_spark_modes.py", "test_stores.py")


class Scheduling(LoadFileScheduling):
    """The tests of a file stay in one process, and so do those that share the servers of tests/e2e/conftest.py."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return "tests/e2e" if file.parent.name == "e2e" and file.name not in BY_THEMSELVES else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each processor, but none besides this one for a single file: it starts sooner."""
    only = Path(config.args[0].partition("::")[0])
    return min(os.cpu_count() or 1, MOST_PROCESSES) if len(config.args) > 1 or only.is_dir() else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, and the many small tests fill the gaps at the end."""
    items.sort(key=lambda item: next((at for at, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Those marked `alone` measure time: they wait until no other test is under way, and none begins meanwhile."""
    alone = item.get_closest_marker("alone") is not None
    with ExitStack() as room:
        with _held(DOOR, fcntl.LOCK_EX):
            room.enter_context(_held(ROOM, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        return (yield)


@contextmanager
def _held(path: Path, kind: int) -> Iterator[None]:
    """A lock on a file or folder that is there, which ends with this process."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # whoever has inherited it
    finally:
        os.close(descriptor)
