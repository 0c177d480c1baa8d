"""Commands of the project, started as its warm worker starts runs: forked from a process that has imported them.

That takes milliseconds, where a cold start imports Prefect and the flows for seconds. A few tests start each command
cold all the same. A fork has what a cold start has: arguments, environment, folder, outputs, exit status, and a process
group of its own; but not variables that Python itself reads at its start (PYTHONUTF8 and the like).
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import Any

from deployments.warm.forkserver import ONE_THREAD, Request

PROJECT = Path(__file__).parents[2]
TOLD = "FORKED_COMMAND"
"""The variable that says what is to be run; gone before it runs."""
FORK_SECONDS = 60
OUTPUTS = ("stdout", "stderr")
COMMANDS = ("flows.commands.uploads", "flows.commands.batch", "prefect.cli", "prefect.cli.deploy", "web.hooks.receiver")


class Forked:
    """A command under way, as much of a `subprocess.Popen` as tests use."""

    def __init__(self, args: Sequence[str], control: socket.socket, folder: Path) -> None:
        self.args = args
        self.returncode: int | None = None
        self._control = control
        self._told: BufferedReader = control.makefile("rb")
        self._folder = folder
        control.settimeout(FORK_SECONDS)
        self.pid = int(json.loads(self._told.readline())["pid"])

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.001)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._control.settimeout(timeout)
            try:
                self._control.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0) from None
            self._control.settimeout(FORK_SECONDS)
            self.returncode = int(json.loads(self._told.readline())["status"])
            self._told.close()
            self._control.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has printed, and its complaints, when it has ended."""
        self.wait(timeout)
        stdout, stderr = ((self._folder / name).read_text(encoding="utf-8") for name in OUTPUTS)
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass(frozen=True)
class Forks:
    """A running forkserver; several processes may hold the socket to it."""

    descriptor: int
    folder: Path
    """Where what they print is kept."""

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], cwd: Path = PROJECT, log: Path | None = None
    ) -> Forked:
        """Begin `python -m module arguments` or `python -c program arguments`; `command` begins with -m or -c.

        With `log`, all that it prints goes there.
        """
        ours, theirs = socket.socketpair()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        outputs = [str(log or folder / name) for name in OUTPUTS]
        told = json.dumps({"command": list(command), "outputs": outputs})
        home = environment.get("HOME", str(Path.home()))
        own = {"PREFECT_HOME": f"{home}/.prefect", **environment, TOLD: told}  # the default, which Prefect has read
        request = Request(module=__name__, env=own, cwd=str(cwd), output=True, alone=0)
        with theirs, socket.socket(fileno=os.dup(self.descriptor)) as server:
            socket.send_fds(server, [b"+"], [theirs.fileno()])
        ours.sendall(json.dumps(request).encode() + b"\n")
        return Forked(command, ours, folder)

    def run(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path = PROJECT) -> str:
        """What a command prints. Raises `RuntimeError` when it fails."""
        started = self.start(command, environment, cwd)
        stdout, stderr = started.communicate(timeout=300)
        if started.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {stdout}{stderr}")
        return stdout


@contextmanager
def ended_with_block(command: Forked) -> Iterator[Forked]:
    """Killed at the end, if it is still there."""
    try:
        yield command
    finally:
        command.kill()
        command.wait()


@contextmanager
def running_forks() -> Iterator[Forks]:
    """A forkserver that has imported all commands; it and what it has forked end with the block."""
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="inktally-forks-") as folder, (Path(folder) / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "deployments.warm.forkserver", str(theirs.fileno()), f"{__name__}:import_all"],
            cwd=PROJECT,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        with ours:
            ready = json.loads(ours.makefile("rb").readline())
            if ready["broken"] or ready["threads"] != 1:
                raise RuntimeError(f"the forkserver for commands is not fit to fork: {ready}")
            yield Forks(ours.fileno(), Path(folder))
        server.kill()
        server.wait()


def import_all() -> None:
    """In the forkserver: what runs of the warm worker are forked with, and what commands need besides."""
    from deployments.warm import worker

    for named in (*worker._flows(PROJECT), *worker.IMPORTED_BY_ALL_RUNS, *COMMANDS):  # noqa: SLF001
        module, _, function = named.partition(":")
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()


def _become(told: Mapping[str, Any]) -> None:
    """In the fork: be the command."""
    for descriptor, file in enumerate(told["outputs"], 1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    how, what, *arguments = told["command"]
    if how == "-m":
        sys.argv = [what, *arguments]
        sys.modules.pop(what, None)
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [how, *arguments]
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)  # noqa: S102 - as python -c


if __name__ == "__main__":
    _become(json.loads(os.environ.pop(TOLD)))
