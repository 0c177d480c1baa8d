"""Temporary folders and turns that do not outlive their owners, not even one that was killed."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR

from inktally.errors import AccessDenied, BadSettings, ScratchFull
from inktally.modes import PRIVATE, let_in, make_folder

PREFIX = "scratch-"
LOCK = ".owner"
NEXT_LOOK = 0.005  # seconds


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room, or no more was allowed."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def _told_when_full(parent: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise ScratchFull(
            f"The disk of {parent} is full; make room there, or set INKTALLY_SCRATCH to a folder on another disk."
        ) from error


def write_whole(path: Path, content: bytes, umask: int = PRIVATE) -> None:
    """Write a file of which nobody sees a part, and which is on the disk afterwards."""
    make_folder(path.parent, umask)
    descriptor, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            let_in(descriptor, umask)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new empty folder below `parent`, removed at the end; those whose owners have died are removed first.

    A living owner holds a lock on a file in its folder, which the system lets go when the process ends. The folder
    gets the name under which others look for it only when it is locked. Raises `ScratchFull` when what is done in it
    finds no room.
    """
    with _told_when_full(parent):
        ours = _ours(parent)
        _remove_abandoned(ours)
        unlocked = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=ours))
    with _told_when_full(parent), (unlocked / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = unlocked.rename(ours / unlocked.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def turn(parent: Path, turns: int) -> Iterator[None]:
    """One of so many turns that all processes of this user on this machine share; waits until one is free."""
    with _told_when_full(parent):
        ours = _ours(parent)
    while True:
        for number in range(turns):
            with _told_when_full(parent), (ours / f"turn-{number}").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
        time.sleep(NEXT_LOOK)


def _ours(parent: Path) -> Path:
    """This user's own folder below `parent`, which in most cases is open to everybody."""
    folder = parent / f"inktally-{os.getuid()}"
    try:
        make_folder(folder)
    except OSError as error:
        if is_disk_full(error):
            raise
        wanted = "set INKTALLY_SCRATCH to a folder that may be written to"
        raise BadSettings(f"{folder} cannot be made ({error.strerror}); {wanted}.") from error
    found = folder.lstat()
    if not S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise AccessDenied(f"{folder} is not ours; remove it, or set INKTALLY_SCRATCH to another folder.")
    return folder


def _remove_abandoned(ours: Path) -> None:
    for folder in ours.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
