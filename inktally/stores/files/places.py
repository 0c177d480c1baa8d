"""Where a key's object lies below the folder.

A key lies at its own path wherever a file can lie there. S3 allows more: `a` beside `a/b`, empty segments, dots,
segments too long for a file name. Such objects lie in `.inktally/objects` under the hash of their key. Symbolic
links are never followed, so that nothing outside the folder is read or written.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from inktally.modes import PRIVATE, make_folder, opener

T = TypeVar("T")
OWN = ".inktally"
LONGEST_NAME = 255
ATTEMPTS = 1000
NO_PLACE = {
    errno.EEXIST,
    errno.EILSEQ,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.EXDEV,
}


class FilePlaces:
    """The paths below one folder, which is given with all links resolved; `own` is for what we note down about it."""

    def __init__(self, root: Path, own: Path | None = None, umask: int = PRIVATE) -> None:
        self.root = root
        self._umask = umask
        self.opener = opener(umask)
        self.own = own or root / OWN
        self.staging = self.own / "tmp"
        self.objects = self.own / "objects"

    def natural(self, key: str) -> Path | None:
        """The key's own path; None when no file can have it."""
        segments = key.split("/")
        if segments[0].casefold() == OWN or "\0" in key or any(segment in {"", ".", ".."} for segment in segments):
            return None
        return None if any(len(segment.encode()) > LONGEST_NAME for segment in segments) else self.root / key

    def hashed(self, key: str) -> Path:
        return self.objects / name_of(key)

    def find(self, key: str) -> tuple[Path, os.stat_result] | None:
        """The key's regular file and its status."""
        for path in (self.hashed(key), self.natural(key)):
            if path is None:
                continue
            with suppress(FileNotFoundError, NotADirectoryError):
                status = path.lstat()
                if S_ISREG(status.st_mode) and not _linked(path.parent):
                    return path, status
        return None

    def likely(self, key: str) -> Path:
        """Where the object is, or would be written."""
        hashed = self.hashed(key)
        return hashed if os.path.lexists(hashed) else self.natural(key) or hashed

    def move(self, staged: Path, key: str) -> Path:
        """Rename a staged file to where the key's object lies, or shall lie."""
        natural, hashed = self.natural(key), self.hashed(key)
        if natural is None or os.path.lexists(hashed) or not self._moved(staged, natural):
            self.make(hashed.parent)
            staged.replace(hashed)
            return hashed
        return natural

    def clear(self, key: str) -> None:
        """Remove the key's file, and the folders it leaves empty; those at the top stay for people to use."""
        while found := self.find(key):
            path = found[0]
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if self.root in {folder, folder.parent} or self.own in folder.parents:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def walk(self, prefix: str) -> Iterator[str]:
        """The keys of all files at their own paths. Holds one open folder per level, and no list of names."""
        head, slash, _ = prefix.rpartition("/")
        start = self.natural(head) if slash else self.root
        if start is not None and not _linked(start):
            yield from self._walk(start, head + slash, prefix)

    def _walk(self, folder: Path, base: str, prefix: str) -> Iterator[str]:
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                key = base + entry.name
                if not key.startswith(prefix) or key.casefold() == OWN or not _is_text(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(folder / entry.name, f"{key}/", prefix)
                elif entry.is_file(follow_symlinks=False):
                    yield key

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Be the only writer of this key, among all threads and processes."""
        path = self.own / "locks" / name_of(key)[:2]
        descriptor = self.in_folder(path, lambda: self.opener(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process forked meanwhile may still have it open
            os.close(descriptor)

    def in_folder(self, path: Path, do: Callable[[], T]) -> T:
        """What `do` gives, which needs the folder that `path` is in: it is made where it is missing, which is rare."""
        try:
            return do()
        except FileNotFoundError:
            self.make(path.parent)
            return do()

    def make(self, folder: Path) -> None:
        make_folder(folder, self._umask)

    def _moved(self, staged: Path, path: Path) -> bool:
        """Whether it could be. Another writer may remove the empty folder at any time, so it is made until it stays."""
        for _ in range(ATTEMPTS):
            try:
                if _linked(path.parent):
                    return False
                self.in_folder(path, lambda: staged.replace(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno == errno.EEXIST and not _is_file(Path(error.filename)):
                    continue
                if error.errno in NO_PLACE:
                    return False
                raise
            else:
                return True
        return False


def name_of(key: str) -> str:
    """A key's name where keys do not serve as file names: its SHA-256 (hex)."""
    return sha256(key.encode()).hexdigest()


def sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_file(path: Path) -> bool:
    """Whether something stands there that is no folder."""
    return os.path.lexists(path) and not path.is_dir()


def _linked(folder: Path) -> bool:
    """Whether the way to a folder leads over a symbolic link."""
    return os.path.realpath(folder) != str(folder)


def _is_text(name: str) -> bool:
    """A file name need not be UTF-8; a key must be."""
    return name.isascii() or name.encode(errors="ignore").decode() == name
