"""The forkserver alone, without Prefect: it forks, tells how children end, and is replaced when it is dead or stale."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path

import psutil
import pytest

from deployments.warm.forkserver import Request
from deployments.warm.start import LOST, Forkserver, NoForkserver, WarmStart
from tests.support.waiting import eventually


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    (tmp_path / "random_number.py").write_text(
        "import random, sys, numpy; print(random.random(), numpy.random.random()); sys.exit(7)"
    )
    (tmp_path / "threaded.py").write_text(
        "import threading, time; threading.Thread(target=time.sleep, args=[9]).start()"
    )
    return tmp_path


def asked(root: Path, module: str, alone: float = 60, **env: str) -> Request:
    return Request(module=module, env={**os.environ, **env}, cwd=str(root), output=True, alone=alone)


def kill_forkserver() -> None:
    alive = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    (running,) = [each for each in alive if "deployments.warm.forkserver" in each.cmdline()]
    running.kill()


async def started(root: Path, *modules: str) -> Forkserver:
    server = Forkserver(root, modules)
    await server.ready()
    return server


def test_a_child_ends_some_time_after_its_worker(root: Path) -> None:
    async def forked() -> int:
        server = await started(root)
        child = await server.fork(asked(root, "sleeper", alone=0.2))
        server.hang_up()
        await asyncio.sleep(0.5)
        assert psutil.pid_exists(child.pid)
        return child.pid

    pid = asyncio.run(forked())
    gc.collect()  # the worker's end of the child's socket, which the kernel closes when a worker is killed
    eventually(lambda: not psutil.pid_exists(pid), seconds=5)


def test_an_exit_status_is_told_or_known_to_be_lost(root: Path) -> None:
    async def statuses() -> list[int]:
        server = await started(root, "numpy")
        ends, is_lost = [await server.fork(asked(root, name)) for name in ("random_number", "sleeper")]
        status = await ends.wait()
        kill_forkserver()
        os.kill(is_lost.pid, signal.SIGKILL)
        return [status, await is_lost.wait()]

    assert asyncio.run(statuses()) == [7, LOST]


def test_random_numbers_differ_between_children(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def run_twice() -> None:
        server = await started(root, "random", "numpy")
        for _ in range(2):
            await (await server.fork(asked(root, "random_number"))).wait()
        server.hang_up()
        assert server.has_ended(within=5)

    asyncio.run(run_twice())
    numbers = capfd.readouterr().out.split()
    assert len(set(numbers)) == len(numbers) == 4


def test_a_forkserver_with_a_second_thread_is_refused(root: Path) -> None:
    with pytest.raises(NoForkserver, match="thread"):
        asyncio.run(started(root, "threaded"))


def test_a_forkserver_is_stale_when_a_module_that_it_could_not_import_has_changed(root: Path) -> None:
    (root / "broken.py").write_text("import no_such_module_at_all")

    async def is_current() -> list[bool]:
        server = await started(root, "broken")
        before = server.is_current
        (root / "broken.py").write_text("pass")
        after = server.is_current
        server.hang_up()
        return [before, after]

    assert asyncio.run(is_current()) == [True, False]


def test_a_dead_forkserver_is_replaced_while_forking(root: Path) -> None:
    async def status() -> int:
        warm = WarmStart(root, ["numpy"])
        await warm.server()
        kill_forkserver()
        child = await warm.fork(asked(root, "random_number"))
        status = await child.wait()
        warm.close()
        return status

    assert asyncio.run(status()) == 7
