"""How often files are opened, as the kernel tells it: confined processes may open files, and write none."""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

WITHOUT_WAITING = os.O_NONBLOCK | os.O_CLOEXEC
OPENED, CLOSED = 0x20, 0x10  # of inotify(7); two openings with nothing between would be told as one
HEADER = struct.Struct("iIII")
NAMES = 100
PROGRAMS = Path(tempfile.gettempdir()) / f"inktally-programs-{os.getuid()}"
"""Where machines have the programs that they wrap. Servers have it on their PATH: children that several machines share
may start what is there."""


class Openings:
    """Of the files of a new folder; a shell opens one of them by `by_shell`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        folder.chmod(0o755)  # confined children are other users, whatever our umask
        self._folder = folder
        self._names: list[str] = []
        libc = ctypes.CDLL(None)
        self._descriptor = libc.inotify_init1(WITHOUT_WAITING)
        assert libc.inotify_add_watch(self._descriptor, os.fsencode(folder), OPENED | CLOSED) > 0
        weakref.finalize(self, os.close, self._descriptor)

    def by_shell(self, kind: str, condition: str) -> str:
        """A line that opens a file of that kind where the command line has a pattern; which one, chance decides."""
        for number in range(NAMES):
            os.mknod(self._folder / f"{kind}{number:02}")  # `touch` would open it
            (self._folder / f"{kind}{number:02}").chmod(0o644)
        chosen = f'"{self._folder}/{kind}$(date +%N | cut -c 8-9)"'
        return f'case " $* " in {condition}) : <{chosen};; esac'

    def kinds(self) -> list[str]:
        """Those that were opened so far, in order."""
        with suppress(BlockingIOError):
            while told := os.read(self._descriptor, 65536):
                while told:
                    _, mask, _, length = HEADER.unpack_from(told)
                    name = told[HEADER.size : HEADER.size + length].rstrip(b"\0").decode()
                    if mask & OPENED and name:
                        self._names.append(name[:-2])
                    told = told[HEADER.size + length :]
        return list(self._names)

    def forget(self) -> None:
        self.kinds()
        self._names.clear()
