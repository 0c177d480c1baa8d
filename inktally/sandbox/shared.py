"""Sandboxed children that all runs of a machine share: `python -m inktally.sandbox.shared SOCKET [MODULE…]`.

A run's own first child would have to wait until Python has been started and models loaded. Here that is done. The
server ends when its input does, once it has answered what it was asked; a run that finds no server has children of its
own.
"""

import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any, cast

from inktally.delivery import Problem
from inktally.errors import EngineFailed, InktallyError, Stopped
from inktally.sandbox.forked import ANSWER, Reply
from inktally.sandbox.parent import Sandbox
from inktally.sandbox.watchdog import EVERY
from inktally.settings import Settings, read_settings

CONNECT_SECONDS = 1.0
BYTES_PER_WORD = 600  # of an answer: 250 for a word with its box, and 120 for ten of the widest characters


@dataclass(frozen=True)
class SandboxClient:
    """Calls functions in the children of a server, and where there is none, in its own."""

    address: str
    own: Sandbox
    answer: int

    def warm_up(self) -> None:
        """Theirs are warm."""
        if not Path(self.address).exists():
            self.own.warm_up()

    def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        loads: str = "",
        is_wanted: Callable[[], bool] | None = None,
    ) -> Any:
        """As `Sandbox.call`."""
        options: dict[str, Any] = {"seconds": seconds, "reads": reads, "writes": writes, "loads": loads}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONNECT_SECONDS)
            try:
                connection.connect(self.address)
            except OSError:
                return self.own.call(function, arguments, **options, is_wanted=is_wanted)
            connection.settimeout(None)
            request = {"function": function, "arguments": dict(arguments), **options}
            return _asked(connection, request, self.answer, is_wanted)


def _asked(
    connection: socket.socket, request: Mapping[str, Any], most: int, is_wanted: Callable[[], bool] | None
) -> Any:
    """Once it is not wanted any more, the connection is closed, which has the child killed."""
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
        while is_wanted and not select.select([connection], [], [], EVERY)[0]:
            if not is_wanted():
                raise Stopped("Nobody waits for this recognition any more.")
        told = connection.makefile("rb").readline(most)
    except OSError:
        told = b""
    if not told.endswith(b"\n"):
        raise EngineFailed("The process that recognises for all runs has ended; it will be tried again.")
    return Reply.model_validate_json(told).given()


def sandbox(settings: Settings, preload: Sequence[str] = ()) -> Sandbox | SandboxClient:
    """Children that have imported the modules `preload`: those that runs share, where the settings name them."""
    own = _own(settings, preload)
    return SandboxClient(settings.sandbox, own, _answer(settings)) if settings.sandbox else own


def _own(settings: Settings, preload: Sequence[str]) -> Sandbox:
    return Sandbox(
        settings.recognition_workers,
        settings.scratch,
        preload=preload,
        memory=settings.recognition_memory,
        answer=_answer(settings),
        programs=[settings.tesseract] if "/" in settings.tesseract else [],
        strict=settings.confinement == "strict",
    )


def _answer(settings: Settings) -> int:
    """The most bytes that a child says of a page."""
    return ANSWER + BYTES_PER_WORD * settings.max_page_words


class _SandboxServer(ThreadingUnixStreamServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: str, children: Sandbox) -> None:
        self.children = children
        super().__init__(address, _Handler)


class _Handler(StreamRequestHandler):
    """One request of a run. When the run has gone, nobody needs the answer."""

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        children = cast(_SandboxServer, self.server).children
        try:
            reply = Reply(result=children.call(**request, is_wanted=self._is_wanted))
        except InktallyError as error:
            reply = Reply(error=Problem.of(error))
        with suppress(OSError):
            self.wfile.write(reply.model_dump_json().encode() + b"\n")

    def _is_wanted(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return not readable  # it has said all it had to say, so this would be its end


def main(arguments: Sequence[str]) -> None:
    """Serve until our input ends."""
    address, *preload = arguments
    children = _own(read_settings(), preload)
    children.warm_up()
    with _SandboxServer(address, children) as server:
        Path(address).chmod(0o600)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while os.read(sys.stdin.fileno(), 1024):
            pass
        Path(address).unlink(missing_ok=True)
        server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
