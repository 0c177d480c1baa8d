"""Files that a child is given, and those that are taken from it."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_IROTH, S_ISREG
from typing import Any, Self

from inktally.errors import EngineFailed
from inktally.sandbox.confinement import IN, OUT


class HandedOver:
    """What a child is to read, and room for what it writes, in the two folders below `folder`.

    `arguments` are those of a request with the paths by which the child knows the files. Nothing that it leaves behind
    is followed or opened but plain files, since a link may lead to what only the parent can read.
    """

    def __init__(self, folder: Path, arguments: Mapping[str, Any], reads: Sequence[str], writes: Sequence[str]) -> None:
        self._folder = folder
        self._reads = {name: Path(arguments[name]) for name in reads}
        self._writes = {name: Path(arguments[name]) for name in writes if arguments[name]}
        placed = dict(_placed(self._reads, IN)) | dict(_placed(self._writes, OUT))
        self.arguments = {**arguments, **placed}

    def __enter__(self) -> Self:
        """The folder is the child's, whoever that will be, but neither of its folders can be put in another's place."""
        self._folder.chmod(0o711)
        for name in (IN, OUT):
            (self._folder / name).mkdir()
            (self._folder / name).chmod(0o755)  # whatever the umask of this process
        for name, path in self._reads.items():
            _give(path, self._folder / self.arguments[name])
        return self

    def __exit__(self, *_: object) -> None:
        """The folder is removed by whoever made it."""

    def take(self) -> None:
        """Put what the child has written where it was wanted; the child must have ended. Raises `EngineFailed`."""
        for name, target in self._writes.items():
            with suppress(FileNotFoundError):
                _take(self._folder / self.arguments[name], target)


def _placed(paths: Mapping[str, Path], folder: str) -> Iterator[tuple[str, str]]:
    for name, path in paths.items():
        yield name, f"{folder}/{name}{path.suffix}"


def _give(source: Path, place: Path) -> None:
    """As a second name of the file where its child may read that; a copy takes a third of a millisecond a megabyte."""
    if os.geteuid() != 0 or source.stat().st_mode & S_IROTH:
        with suppress(OSError):  # on another disk, for one
            os.link(source, place)
            return
    shutil.copyfile(source, place)
    place.chmod(0o444)


def _take(source: Path, target: Path) -> None:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _no_file() from error
    facts = os.fstat(descriptor)
    if not S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(descriptor)
        raise _no_file()
    with open(descriptor, "rb") as file, target.open("wb") as copy:  # noqa: PTH123 - a descriptor, not a path
        shutil.copyfileobj(file, copy)


def _no_file() -> EngineFailed:
    return EngineFailed("The recognition process left something that is no plain file; it will be tried again.")
