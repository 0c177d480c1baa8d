"""A folder as a store: what runs with nothing installed, and what people can look into.

An object is a file at its key's path. Its ETag (MD5, as S3 has it), its SHA-256 and its metadata lie in a note, named
after the file's state (inode, size, time of change) and written before the file is renamed into place. So readers,
who take no lock, always get data and metadata that belong together, whatever is killed when. A file that somebody
drops in has no note; it gets one when it is first looked at, and is not read again until it changes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import md5, sha256
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

from inktally.delivery import StoredObject
from inktally.errors import AccessDenied, BadSettings, InktallyError, NotFound, Overwritten, StoreDown
from inktally.settings import Settings
from inktally.stores.files.notes import Note, Notes, state
from inktally.stores.files.places import FilePlaces, in_folder, name_of, sync

CHUNK = 1 << 20
LOOKS = 10
TICK_SECONDS = 0.01
DAY_SECONDS = 24 * 60 * 60


def build(uri: str, settings: Settings) -> FilesStore:  # noqa: ARG001 - a folder needs no settings
    return FilesStore(Path(uri).expanduser().resolve())


def build_source(uri: str, settings: Settings) -> FilesStore:
    """A folder of somebody else's, which is only read: what we note down about its files lies in our cache."""
    root = Path(uri).expanduser().resolve()
    return FilesStore(root, settings.cache.absolute() / "folders" / name_of(str(root)))


class FilesStore:
    """A `Store`. The folder is made by the first write; one that is missing is simply empty."""

    def __init__(self, root: Path, own: Path | None = None) -> None:
        self._root = root
        self._places = FilePlaces(root, own)
        self._notes = Notes(self._places)

    @property
    def uri(self) -> str:
        return str(self._root)

    def address(self, key: str) -> str:
        return str(self._places.likely(key))

    def stat(self, key: str, version: str = "") -> StoredObject:
        if version:
            raise NotFound(f"There is no version {version} of {key}: the folder {self.uri} keeps none.")
        with self._errors(key):
            return self._described(key)

    def read(self, key: str) -> bytes:
        with self._errors(key), self._opened(key) as file:
            return file.read()

    def download(self, source: StoredObject, path: Path) -> str:
        with self._errors(source.key), self._version(source) as (file, _), path.open("wb") as target:
            return _copied(file, target).sha256

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> StoredObject:
        lowered = {name.lower(): value for name, value in (metadata or {}).items()}
        with (
            content.open("rb") if isinstance(content, Path) else BytesIO(content) as file,
            self._errors(key),
            self._staged(file) as (staged, digests),
            self._places.locked(key),
        ):
            if (if_absent and self._places.find(key)) or (if_match and self._etag(key) != if_match):
                raise self._overwritten(key)
            return self._install(staged, Note(key=key, metadata=lowered, **digests._asdict()))

    def copy(self, source: StoredObject, key: str, *, storage_class: str = "") -> StoredObject:  # noqa: ARG002
        """A folder has no storage classes."""
        with self._errors(source.key), self._version(source) as (file, found), self._staged(file) as (staged, digests):
            if digests.etag != source.etag:
                raise self._overwritten(source.key)
            with self._places.locked(key):
                return self._install(staged, Note(key=key, metadata=found.metadata, **digests._asdict()))

    def delete(self, target: StoredObject) -> None:
        with self._errors(target.key), self._places.locked(target.key), suppress(NotFound):
            if not self._described(target.key).same_version(target):
                raise self._overwritten(target.key)
            self._clear(target.key)

    def remove(self, key: str) -> None:
        with self._errors(key), self._places.locked(key):
            self._clear(key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """What vanishes or is being written while the list is made is left out."""
        with self._errors(prefix):
            at_their_paths = (key for key in self._places.walk(prefix) if not self._places.hashed(key).exists())
            for key in chain(self._notes.hashed_keys(prefix), at_their_paths):
                with suppress(NotFound, StoreDown):
                    yield self._described(key).model_copy(update={"metadata": {}})

    @contextmanager
    def _opened(self, key: str) -> Iterator[IO[bytes]]:
        """The object's file. Other writers replace it, so what is open stays as it is."""
        found = self._places.find(key)
        if not found:
            raise self._missing(key)
        try:
            descriptor = os.open(found[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self._missing(key) from error
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            yield file

    @contextmanager
    def _version(self, source: StoredObject) -> Iterator[tuple[IO[bytes], StoredObject]]:
        """The file of this very version, which must not be changed in place while it is read."""
        with self._opened(source.key) as file:
            before = os.fstat(file.fileno())
            found = self._describe(source.key, file)
            if not found or not found.same_version(source):
                raise self._overwritten(source.key)
            yield file, found
            if not _unchanged(file, before):
                raise self._overwritten(source.key)

    def _described(self, key: str) -> StoredObject:
        for _ in range(LOOKS):
            with self._opened(key) as file:
                if found := self._describe(key, file):
                    return found
        raise StoreDown(f"{self.address(key)} is still being written; try again when it has been.")

    def _describe(self, key: str, file: IO[bytes]) -> StoredObject | None:
        """None when the file is replaced or changed while it is looked at."""
        status = os.fstat(file.fileno())
        note = self._notes.read(key, status)
        if note is None:
            present = self._places.find(key)
            if not present or state(present[1]) != state(status):
                return None
            note = self._learn(key, file, status)
        return _object(status, note) if note else None

    def _learn(self, key: str, file: IO[bytes], status: os.stat_result) -> Note | None:
        """Note a file that was dropped in. One changed just now is left to age, lest its next change look the same."""
        time.sleep(min(TICK_SECONDS, max(0.0, status.st_mtime + TICK_SECONDS - time.time())))
        if not _unchanged(file, status):
            return None
        note = Note(key=key, **_copied(file, None)._asdict())
        file.seek(0)
        if not _unchanged(file, status):
            return None
        with suppress(OSError):  # a folder that we may only read
            self._notes.write(note, status)
        return note

    def _etag(self, key: str) -> str:
        """Empty when there is no object."""
        try:
            return self._described(key).etag
        except NotFound:
            return ""

    @contextmanager
    def _staged(self, content: IO[bytes]) -> Iterator[tuple[Path, Digests]]:
        """The content in a file of its own, safe on disk, and its digests."""
        self._sweep()
        staged = self._places.staging / uuid4().hex
        try:
            with in_folder(staged, lambda: staged.open("xb")) as file:
                digests = _copied(content, file)
                file.flush()
                os.fsync(file.fileno())
            yield staged, digests
        finally:
            staged.unlink(missing_ok=True)

    def _install(self, staged: Path, note: Note) -> StoredObject:
        """Put a staged file in place, under the key's lock. Its time is later than that of the one before."""
        before = self._places.find(note.key)
        now = max(time.time_ns(), before[1].st_mtime_ns + 1 if before else 0)
        os.utime(staged, ns=(now, now))
        status = staged.stat()
        written = self._notes.write(note, status)
        if note.metadata:
            self._notes.keep(written)
        path = self._places.move(staged, note.key)
        if path.parent == self._places.objects:
            self._notes.keep(written)
        sync(path.parent)
        self._notes.clear(note.key, but=written)
        return _object(status, note).model_copy(update={"age": 0.0, "metadata": {}})

    def _clear(self, key: str) -> None:
        self._places.clear(key)
        self._notes.clear(key)

    def _sweep(self) -> None:
        """Once a day, remove what killed writers left behind."""
        stamp, yesterday = self._places.own / "swept", time.time() - DAY_SECONDS
        with suppress(FileNotFoundError):
            if stamp.stat().st_mtime > yesterday:
                return
        self._places.staging.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        for path in self._places.staging.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < yesterday:
                    path.unlink()

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translated(error, key) from error

    def _translated(self, error: OSError, key: str) -> InktallyError:
        where = error.filename or self.address(key)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return StoreDown(f"The disk of {self.uri} is full; make room and try again.")
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return AccessDenied(f"{where} cannot be used: {error.strerror}. Check who owns {self.uri}, and its modes.")
        if self._root.exists() and not self._root.is_dir():
            return BadSettings(f"{self.uri} is a file; the store must be a folder.")
        return StoreDown(f"{where} cannot be used: {error.strerror}.")

    def _missing(self, key: str) -> NotFound:
        return NotFound(f"There is no {self.address(key)}.")

    def _overwritten(self, key: str) -> Overwritten:
        return Overwritten(f"{self.address(key)} is not, or no longer, what was expected there.")


def _unchanged(file: IO[bytes], status: os.stat_result) -> bool:
    return state(os.fstat(file.fileno())) == state(status)


class Digests(NamedTuple):
    """MD5 and SHA-256 (hex) of the same bytes."""

    etag: str
    sha256: str


def _copied(source: IO[bytes], target: IO[bytes] | None) -> Digests:
    """Stream to a file, if there is one; the digests."""
    digests = md5(usedforsecurity=False), sha256()
    while chunk := source.read(CHUNK):
        for digest in digests:
            digest.update(chunk)
        if target:
            target.write(chunk)
    return Digests(*(digest.hexdigest() for digest in digests))


def _object(status: os.stat_result, note: Note) -> StoredObject:
    """Times with all the digits that the file system keeps (nanoseconds)."""
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    return StoredObject(
        key=note.key,
        etag=note.etag,
        sha256=note.sha256,
        size=status.st_size,
        modified=f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z",
        age=max(0.0, time.time() - status.st_mtime),
        metadata=note.metadata,
    )
