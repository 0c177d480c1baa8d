"""A process that has imported Prefect and the flows, and forks itself for each run.

The warm worker starts it (`python -m deployments.warm.forkserver`), with one end of a socket pair as its only argument;
deployments/warm/start.py holds the other end. It has one thread, opens no connection and makes no client, so that
nothing but code and constants is inherited. For each run it is handed a socket of that run's own, reads from it what to
run, forks, answers with the child's process id, and in the end with its exit status. The child keeps that socket open
too: whatever is killed, the worker sees the child's end, and the child sees the worker's.

When the worker hangs up, it waits for the children it has, and ends.
"""

import gc
import importlib.util
import json
import logging
import os
import runpy
import selectors
import signal
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

ONE_THREAD = {
    "DO_NOT_TRACK": "1",  # Prefect would tell its makers of the import, from a thread
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""What must be set lest an import start a thread."""

LONGEST_REQUEST = 10  # seconds until the worker must have written its request
LAST_WARNING = 30  # seconds between SIGTERM and SIGKILL


class Request(TypedDict):
    """What a child is to run: a module, as `python -m` does, with this environment and in this folder."""

    module: str
    env: dict[str, str]
    cwd: str
    output: bool  # whether the worker's terminal shows what it prints
    alone: float  # seconds that it may go on without its worker


class Ready(TypedDict):
    """What the worker is told when everything has been imported."""

    stamps: dict[str, int]
    broken: dict[str, str]
    threads: int


class Run(NamedTuple):
    """What a child is to run, the socket to its worker, and what is wrong with its environment, if anything."""

    request: Request
    worker: socket.socket
    problem: Exception | None


class ForkedRun(NamedTuple):
    """A run under way: its process, and the socket to its worker."""

    pid: int
    worker: socket.socket


def preload(modules: Iterable[str]) -> dict[str, str]:
    """Import modules, and call what is named after a colon; those that cannot be imported, with the reason.

    A run that needs one of them will say so itself.
    """
    broken = {}
    for named in modules:
        module, _, function = named.partition(":")
        try:
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
        except Exception as error:  # noqa: BLE001 - whatever a module does when it is imported
            broken[module] = f"{type(error).__name__}: {error}"
    return broken


def stamps(root: Path, broken: Iterable[str], started: int) -> dict[str, int]:
    """The files whose change makes this process stale, with their times of change in nanoseconds.

    One that was written after we started may have been imported before that: it gets 0, and is stale at once.
    """
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = [Path(file) for file in (*loaded, *map(_file_of, broken)) if file]
    ours = [file for file in files if file.is_relative_to(root) and not file.is_relative_to(sys.prefix)]
    others = [
        root / name for name in ("uv.lock", "pyproject.toml", "prefect.toml", ".env")
    ]  # settings of Prefect's too
    times = {str(file): changed(file) for file in (*ours, *others, Path(sysconfig.get_path("purelib")))}
    return {file: when if when < started else 0 for file, when in times.items()}


def _file_of(module: str) -> str | None:
    with suppress(ImportError):
        spec = importlib.util.find_spec(module)
        return spec.origin if spec else None
    return None


def changed(file: Path | str) -> int:
    """When a file was changed, in nanoseconds; -1 for one that is not there."""
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 - asked for many files before each run
    except OSError:
        return -1


class RunForker:
    """Forks children until its worker hangs up and the last of them has ended."""

    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._selector = selectors.PollSelector()  # nothing of it lives in the kernel, where a child would share it
        self._settings: dict[str, str] = {}

    def serve(self) -> Run | None:
        """Returns in each child what it is to run, and in the server None, at the end."""
        self._selector.register(self._worker, selectors.EVENT_READ)
        while self._selector.get_map():
            for key, _ in self._selector.select():
                if isinstance(key.data, ForkedRun):
                    self._bury(key.data, cast(int, key.fileobj))
                elif run := self._next_run():
                    return run
        return None

    def _next_run(self) -> Run | None:
        descriptors: list[int] = []
        with suppress(ConnectionError):
            _, descriptors, _, _ = socket.recv_fds(self._worker, 1, 1)
        if not descriptors:  # the worker has hung up
            self._selector.unregister(self._worker)
            return None
        worker = socket.socket(fileno=descriptors[0])
        try:
            worker.settimeout(LONGEST_REQUEST)
            request: Request = json.loads(worker.makefile("rb").readline())
            worker.settimeout(None)
        except (OSError, ValueError):  # it has gone meanwhile
            worker.close()
            return None
        return self._fork(Run(request, worker, self._adopt(request["env"])))

    def _adopt(self, variables: dict[str, str]) -> Exception | None:
        """Take over a run's environment, which its child inherits; what is wrong with it, if anything.

        Prefect's settings are read here rather than in the child, since that takes longer than to fork, and most runs
        have the same.
        """
        os.environ.clear()
        os.environ.update(variables)
        ours = {name: value for name, value in variables.items() if name.startswith("PREFECT_")}
        settings = {name: value for name, value in ours.items() if not name.startswith("PREFECT__")}  # differ for each
        if settings == self._settings:
            return None
        self._settings = {}
        try:
            read_prefects_settings()
        except Exception as error:  # noqa: BLE001 - for the run to fail with, not the server
            return error
        self._settings = settings
        return None

    def _fork(self, run: Run) -> Run | None:
        """The run, in the child; None in the server."""
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            self._let_go()
            return run
        with suppress(OSError):  # it may have ended, or have done this itself
            os.setpgid(pid, pid)
        with suppress(OSError):  # the worker may have gone
            run.worker.sendall(b'{"pid": %d}\n' % pid)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, ForkedRun(pid, run.worker))
        return None

    def _let_go(self) -> None:
        """Close, in a new child, what belongs to the server and to other runs."""
        self._worker.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, ForkedRun):
                key.data.worker.close()
                os.close(cast(int, key.fileobj))

    def _bury(self, child: ForkedRun, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(child.pid, 0)
        with suppress(OSError):
            child.worker.sendall(b'{"status": %d}\n' % os.waitstatus_to_exitcode(status))
        child.worker.close()


def read_prefects_settings() -> None:
    """Prefect has read its settings when it was imported, and set up its loggers by them; do both again."""
    if "prefect" not in sys.modules:
        return
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging
    from prefect.settings import PREFECT_LOGGING_EXTRA_LOGGERS

    for name in PREFECT_LOGGING_EXTRA_LOGGERS.value():
        logging.getLogger(name).handlers.clear()
    refresh_global_settings_context()
    setup_logging(incremental=False)


def become(run: Run) -> None:
    """Make a forked child what a new process would be, and run its module."""
    request, worker, problem = run
    if not request["output"]:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
    if problem is not None:
        raise problem
    os.chdir(request["cwd"])
    time.tzset()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # Python's own generator sees to that itself
    threading.Thread(target=_end_after, args=(worker, request["alone"]), daemon=True, name="end-after-worker").start()
    sys.modules.pop(request["module"], None)
    sys.argv = [request["module"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _end_after(worker: socket.socket, seconds: float) -> None:
    """Wait for the worker's end, then give this child and what it has started some time, then end them all."""
    with suppress(OSError):
        worker.recv(1)  # it never writes again, so this is its end
    time.sleep(seconds)
    os.killpg(0, signal.SIGTERM)
    time.sleep(LAST_WARNING)
    os.killpg(0, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Import the modules that are named after the socket's descriptor, say so, and serve."""
    started = time.time_ns()
    os.environ.update(ONE_THREAD)
    cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)
    worker = socket.socket(fileno=int(arguments[0]))
    broken = preload(arguments[1:])
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    ready = Ready(stamps=stamps(Path.cwd(), broken, started), broken=broken, threads=threads)
    gc.collect()
    gc.freeze()  # what is never looked at again stays shared with the children
    with suppress(ConnectionError):
        worker.sendall(json.dumps(ready).encode() + b"\n")
    run = RunForker(worker).serve()
    if run is not None:
        become(run)


if __name__ == "__main__":
    main(sys.argv[1:])
