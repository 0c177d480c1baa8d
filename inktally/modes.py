"""Modes of the files and folders that we make: for their owner alone, unless the settings let others in."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o077
"""What others may not do, as the umask of a process has it: nothing at all."""


def make_folder(path: Path, umask: int = PRIVATE) -> None:
    """Make a folder, and those above it that are missing, with just this mode; what exists keeps its own."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent, umask)
    try:
        path.mkdir(mode=0o777 & ~PRIVATE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        if umask != PRIVATE:
            path.chmod(0o777 & ~umask)


def opener(umask: int = PRIVATE) -> Callable[[str, int], int]:
    """For `open`: a file that it makes gets just this mode."""

    def opened(path: str, flags: int) -> int:
        descriptor = os.open(path, flags, 0o666 & ~PRIVATE)
        let_in(descriptor, umask)
        return descriptor

    return opened


def let_in(descriptor: int, umask: int) -> None:
    """Give a file of ours, which is private, the mode that the settings ask for."""
    if umask != PRIVATE:
        with suppress(PermissionError):  # a lock that somebody else has made
            os.fchmod(descriptor, 0o666 & ~umask)
