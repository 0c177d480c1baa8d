"""Servers that all processes of a test run share. The process that was started by hand owns them, each from the first
time that somebody asks for it until the end; those that xdist has started ask for them over a socket.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, Protocol

LONGEST_STOP = 60  # seconds


class Shelf(Protocol):
    """Where servers are."""

    def get(self, name: str) -> Any:
        """What a test has to know of a server, which is started where it is not yet."""


Kind = Callable[[Shelf], AbstractContextManager[Any]]
"""Within the block a server runs; it may need others of the shelf."""


class OwnShelf:
    """The servers of this process."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self._asked: dict[str, Future[Any]] = {}
        self._threads: list[threading.Thread] = []
        self._turn = threading.Lock()
        self._over = threading.Event()

    def get(self, name: str) -> Any:
        self.begin([name])
        return self._asked[name].result()

    def begin(self, names: Iterable[str]) -> None:
        """Start them without waiting for them."""
        with self._turn:
            for name in names:
                if name not in self._asked:
                    self._asked[name] = Future()
                    self._threads.append(threading.Thread(target=self._keep, args=[name], name=name))
                    self._threads[-1].start()

    def _keep(self, name: str) -> None:
        """In a thread that lives as long as the server, which ends with it (leash)."""
        asked = self._asked[name]
        try:
            with self._kinds[name](self) as server:
                asked.set_result(server)
                self._over.wait()
        except BaseException as error:  # noqa: BLE001 - for whoever asked
            if not asked.done():
                asked.set_exception(error)

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(LONGEST_STOP)


class LentShelf:
    """The servers of the process that owns them."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._known: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        if name not in self._known:
            with Client(self._address) as owner:
                owner.send(name)
                self._known[name] = owner.recv()
                if hasattr(self._known[name], "descriptor"):
                    self._known[name] = replace(self._known[name], descriptor=recv_handle(owner))
        if isinstance(self._known[name], Exception):
            raise self._known[name]
        return self._known[name]


@contextmanager
def lent(shelf: OwnShelf) -> Iterator[str]:
    """Within the block other processes may ask for its servers, at this address."""
    with tempfile.TemporaryDirectory(prefix="inktally-shelf-") as folder:
        address = str(Path(folder) / "socket")
        with Listener(address) as listener:
            threading.Thread(target=_lend, args=[listener, shelf], daemon=True).start()
            yield address


def _lend(listener: Listener, shelf: OwnShelf) -> None:
    with suppress(OSError):  # it has been closed
        while True:
            threading.Thread(target=_answer, args=[listener.accept(), shelf], daemon=True).start()


def _answer(borrower: Connection, shelf: OwnShelf) -> None:
    with borrower, suppress(EOFError, OSError):
        name = borrower.recv()
        try:
            server = shelf.get(name)
            borrower.send(server)
            if hasattr(server, "descriptor"):  # of a socket, which the other process needs too
                send_handle(borrower, server.descriptor, 0)
        except Exception as error:  # noqa: BLE001 - for whoever asked
            borrower.send(RuntimeError(f"{name} does not start: {error!r}"))
