"""Temporary folders that do not outlive their owners, not even one that was killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "inktally-scratch-"
LOCK = ".owner"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new empty folder below `parent`, removed at the end; those whose owners have died are removed first.

    A living owner holds a lock on a file in its folder, which the system lets go when the process ends. The folder
    gets the name under which others look for it only when it is locked.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    with (unlocked / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = unlocked.rename(parent / unlocked.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
