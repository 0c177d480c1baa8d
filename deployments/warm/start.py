"""The worker's end of the forkserver: start it, know when it is stale, and have it fork."""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prefect.logging import get_logger

from deployments.warm.forkserver import Ready, Request, changed
from inktally.reading.reader import PRELOADED

START_SECONDS = 60
FORK_SECONDS = 30
END_SECONDS = 10
AGAIN_SECONDS = 60
"""When it is tried again to start a forkserver, after that has failed."""
LOST = 255
"""The exit status of a child whose forkserver died before it, so that nobody can know it."""


logger = get_logger("worker.warm")


class NoForkserver(RuntimeError):
    """No forkserver can be had: it does not start, or it is not fit to fork."""


class ForkedChild:
    """A child of the forkserver, as much of a process as its worker needs."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._reader = reader
        self._writer = writer

    async def wait(self) -> int:
        """Its exit status, when it has ended; negative for a signal, as subprocess has it."""
        try:
            told = await self._reader.readline()  # empty when both the forkserver and the child have gone
            self.returncode = json.loads(told)["status"] if told else LOST
        finally:
            self._writer.close()
        return self.returncode


class Forkserver:
    """A running forkserver."""

    def __init__(self, root: Path, modules: Sequence[str]) -> None:
        """Begin to start one that imports modules in the folder `root`."""
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        self._ready: Ready | None = None
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deployments.warm.forkserver", str(theirs.fileno()), *modules],
                cwd=root,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the worker, who tells its runs
            )

    async def ready(self) -> Ready:
        """What it says when it has imported everything. Raises `NoForkserver` when it does not, or is unfit."""
        try:
            told = await asyncio.wait_for(self._first_line(), START_SECONDS)
            ready: Ready = json.loads(told)
            if ready["threads"] != 1:
                raise NoForkserver(
                    f"Some import has started a thread ({ready['threads']} run), which a fork would lose."
                )
            self._ready = ready
        except (OSError, EOFError, TimeoutError) as error:
            raise NoForkserver(f"The forkserver does not start: {error!r}") from error
        finally:
            if self._ready is None:
                self._process.kill()
                self._process.wait()
        return self._ready

    async def _first_line(self) -> bytes:
        told = b""
        while not told.endswith(b"\n"):
            more = await asyncio.get_running_loop().sock_recv(self._control, 65536)
            if not more:
                raise EOFError("it has ended, and what it said stands above")
            told += more
        return told

    @property
    def is_current(self) -> bool:
        """Whether it lives, and no file that it has read has changed."""
        if self._process.poll() is not None or self._ready is None:
            return False
        return all(changed(file) == when for file, when in self._ready["stamps"].items())

    async def fork(self, request: Request) -> ForkedChild:
        """A child that runs what is requested. Raises `NoForkserver` when there is none any more."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            with theirs:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            told = json.loads(await asyncio.wait_for(reader.readline(), FORK_SECONDS))
        except (OSError, ValueError) as error:  # the latter when it has ended without a word
            writer.close()
            self._ready = None
            raise NoForkserver(f"The forkserver does not fork: {error!r}") from error
        return ForkedChild(told["pid"], reader, writer)

    def hang_up(self) -> None:
        """Let it end, which it does when it has no child left."""
        self._control.close()

    def has_ended(self, *, within: float = 0) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within)
        return self._process.returncode is not None


class SharedSandbox:
    """A running server of the sandboxed children that read the pictures of all runs."""

    def __init__(self, root: Path, modules: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="inktally-")
        self._socket = str(Path(self._folder.name) / "sandbox")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inktally.sandbox.shared", self._socket, *modules],
            cwd=root,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def variables(self) -> dict[str, str]:
        """What a run has to know of it; nothing when it has ended."""
        return {} if self._process.poll() is not None else {"INKTALLY_SANDBOX": self._socket}

    def hang_up(self) -> None:
        """Let it end, which it does when it has answered what it was asked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._folder.cleanup()


def _tell(ready: Ready) -> None:
    logger.info("Runs start warm, with %d files of this project imported", len(ready["stamps"]))
    for module, why in ready["broken"].items():
        logger.warning("%s was not imported beforehand: %s", module, why)


class WarmStart:
    """The one forkserver there is at a time: started when it is needed, replaced when it has died or is stale."""

    def __init__(self, root: Path, modules: Sequence[str]) -> None:
        self._root = root
        self._modules = modules
        self._server: Forkserver | None = None
        self._sandbox: SharedSandbox | None = None
        self._retired: list[Forkserver] = []
        self._failure: NoForkserver | None = None
        self._again = 0.0
        self._turn = asyncio.Lock()

    async def server(self) -> Forkserver:
        """One that is fit to fork now. Raises `NoForkserver`."""
        async with self._turn:
            if self._server is None or not self._server.is_current:
                self._retire()
                self._server = await self._start()
            return self._server

    async def _start(self) -> Forkserver:
        if self._failure is not None and time.monotonic() < self._again:
            raise self._failure
        try:
            server = Forkserver(self._root, self._modules)
            self._sandbox = SharedSandbox(self._root, PRELOADED)
            _tell(await server.ready())
        except (NoForkserver, OSError) as error:
            self._failure, self._again = NoForkserver(str(error)), time.monotonic() + AGAIN_SECONDS
            raise self._failure from error
        return server

    async def fork(self, request: Request) -> ForkedChild:
        """A child that runs what is requested, and has its pictures read here. Raises `NoForkserver`."""
        try:
            return await self._fork(request)
        except NoForkserver:  # it has just died
            return await self._fork(request)

    async def _fork(self, request: Request) -> ForkedChild:
        server = await self.server()
        variables = self._sandbox.variables if self._sandbox else {}
        return await server.fork({**request, "env": {**variables, **request["env"]}})

    def _retire(self) -> None:
        self._retired = [server for server in self._retired if not server.has_ended()]
        if self._server is not None:
            self._server.hang_up()
            self._retired.append(self._server)
        if self._sandbox is not None:
            self._sandbox.hang_up()
        self._server = self._sandbox = None

    def close(self) -> None:
        """End all forkservers; blocks for a moment, and leaves those alone whose runs have not ended by then."""
        self._retire()
        self._retired = [server for server in self._retired if not server.has_ended(within=END_SECONDS)]
