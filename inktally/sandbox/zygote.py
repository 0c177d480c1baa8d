"""A process that has imported what reads pictures, with its models, and forks itself for each picture.

`python -m inktally.sandbox.zygote DESCRIPTOR FOLDER [MODULE…]`; inktally/sandbox/parent.py holds the other end of the
socket. It has one thread and never looks at a stranger's byte, so nothing that one picture does can reach the next one.
For each picture it gets a socket of that picture's own and the way for its answer, reads the request, forks, hands back
the process, and in the end its exit status. Whoever closes that socket has the picture's processes killed, all of them.

It ends, and they with it, when its own socket is closed, however its parent has died.
"""

import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from inktally.sandbox import kernel
from inktally.sandbox.child import be_child
from inktally.sandbox.confinement import Cell, cell, trial

Request = Mapping[str, Any]


class ChildForker:
    """Forks children until the parent hangs up, and sees that nothing is left of those that have ended."""

    def __init__(self, parent: socket.socket, cell: Cell, fork: Callable[[], int]) -> None:
        self._parent = parent
        self._cell = cell
        self._fork = fork
        self._children: dict[int, socket.socket] = {}
        self._folders: dict[int, Path] = {}
        self._ended: list[tuple[socket.socket, int]] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(parent, selectors.EVENT_READ)
        self._selector.register(_told_of_ends(), selectors.EVENT_READ)

    def serve(self) -> None:
        """Returns when the parent has hung up."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._parent:
                    if not self._next():
                        return
                elif key.data:
                    self._selector.unregister(key.fileobj)
                    _kill(key.data)
                else:
                    os.read(key.fd, 4096)
            self._bury()

    def end(self) -> None:
        """Kill everything that is left, and remove its files: the parent may have ended without doing so."""
        for pid in self._children:
            _kill(pid)
        folders = list(self._folders.values())
        while self._children or self._ended:
            self._bury()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _next(self) -> bool:
        """Fork for the next picture; false when there will be none."""
        descriptors: list[int] = []
        with suppress(ConnectionError):
            _, descriptors, _, _ = socket.recv_fds(self._parent, 1, 2)
        if not descriptors:
            return False
        life, answers = socket.socket(fileno=descriptors[0]), descriptors[1]
        try:
            with life.makefile("rb") as lines:
                request = json.loads(lines.readline())
        except (OSError, ValueError):  # whoever asked has gone
            life.close()
        else:
            _make_ready(request)
            gc.freeze()  # what is never looked at again stays shared with the children
            pid = self._fork()
            if pid == 0:
                self._be_child(request, answers)
            self._folders[pid] = Path(request["folder"])
            self._hand_over(pid, life)
        os.close(answers)
        return True

    def _be_child(self, request: Request, answers: int) -> NoReturn:
        try:
            be_child(request, answers, self._cell)
        finally:
            os._exit(0)

    def _hand_over(self, pid: int, life: socket.socket) -> None:
        self._children[pid] = life
        self._selector.register(life, selectors.EVENT_READ, pid)
        handles = [os.pidfd_open(pid)] if sys.platform == "linux" else []
        with suppress(OSError):
            socket.send_fds(life, [b'{"pid": %d}\n' % pid], handles)
        for handle in handles:
            os.close(handle)

    def _bury(self) -> None:
        """Take leave of who has ended. What such children have left behind is killed before anybody hears of it."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._folders.pop(found[0], None)
                if (life := self._children.pop(found[0], None)) is not None:
                    self._ended.append((life, os.waitstatus_to_exitcode(found[1])))
        orphans = set() if self._cell.root else _own_children() - self._children.keys()  # none leaves a namespace
        for pid in orphans:
            _kill(pid)
        while self._ended and not orphans:
            life, status = self._ended.pop()
            with suppress(KeyError):
                self._selector.unregister(life)
            with suppress(OSError):
                life.sendall(b'{"status": %d}\n' % status)
            life.close()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _own_children() -> set[int]:
    """Of this process, those that it has adopted among them."""
    try:
        return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
    except OSError:
        return set()


def _told_of_ends() -> socket.socket:
    """A socket that can be read when a child has ended."""
    told, teller = socket.socketpair()
    for each in (told, teller):
        each.setblocking(False)
    signal.set_wakeup_fd(teller.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return told


def _make_ready(request: Request) -> None:
    """Import and load what the request needs, once for all that follow. What fails here, fails in the child again."""
    with suppress(Exception):
        import_module(request["function"].partition(":")[0])
        if request["loads"]:
            module, _, function = request["loads"].partition(":")
            getattr(import_module(module), function)(**request["arguments"])


def _apart() -> Callable[[], int]:
    """Go on in a process with namespaces of its own, which ends with this one; what forks its children."""
    kernel.enter_namespaces()
    pid = os.fork()
    if pid != 0:
        os.closerange(3, 1024)
        os._exit(max(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    kernel.set_option(kernel.DIES_WITH_PARENT, signal.SIGKILL)
    return kernel.Numbering().fork


def main(descriptor: int, folder: Path, modules: list[str]) -> None:
    """Serve until the parent hangs up."""
    os.umask(0o022)
    granted, users = trial(folder)
    fork = _apart() if granted.namespaces else os.fork
    parent = socket.socket(fileno=descriptor)
    confined = cell(granted, users, folder)
    if sys.platform == "linux":
        kernel.set_option(kernel.ADOPTS_ORPHANS, 1)
        kernel.set_option(kernel.IS_DUMPABLE, 0)
    for module in modules:
        with suppress(Exception):
            import_module(module)
    gc.collect()
    zygote = ChildForker(parent, confined, fork)
    try:
        zygote.serve()
    finally:
        zygote.end()
        confined.remove()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
