"""What a file system cannot say of an object: its ETag and its metadata, noted per state of the file."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError

from inktally.document import Value
from inktally.stores.files.places import FilePlaces, in_folder, name_of, sync


class Note(Value):
    """`etag` is the MD5 of the bytes (hex), `sha256` what its name says; notes of earlier releases have none."""

    key: str
    etag: str
    sha256: str = ""
    metadata: dict[str, str] = Field(default={})


class Notes:
    """The notes on all objects of one folder."""

    def __init__(self, places: FilePlaces) -> None:
        self._places = places
        self._folder = places.own / "meta"

    def read(self, key: str, status: os.stat_result) -> Note | None:
        """The note on a file in just this state."""
        return _read(self._path(key, status))

    def write(self, note: Note, status: os.stat_result) -> Path:
        path = self._path(note.key, status)
        in_folder(path, lambda: path.write_text(note.model_dump_json(), encoding="utf-8"))
        return path

    def keep(self, path: Path) -> None:
        """Make a note survive a power failure: one that says what its file cannot, metadata or the key."""
        for written in (path, path.parent, self._folder):
            sync(written)

    def clear(self, key: str, *, but: Path | None = None) -> None:
        """Forget all former states of a key; `but` is the present one."""
        folder = self._folder / name_of(key)
        with suppress(FileNotFoundError):
            for path in folder.iterdir():
                if path != but:
                    path.unlink(missing_ok=True)
        if but is None:
            with suppress(OSError):
                folder.rmdir()

    def hashed_keys(self, prefix: str) -> Iterator[str]:
        """The keys of all objects that do not lie at their own path."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._places.objects) as objects:
            for entry in objects:
                notes = (_read(path) for path in (self._folder / entry.name).glob("*.json"))
                key = next((note.key for note in notes if note), None)
                if key is not None and key.startswith(prefix):
                    yield key

    def _path(self, key: str, status: os.stat_result) -> Path:
        return self._folder / name_of(key) / f"{'-'.join(map(str, state(status)))}.json"


def state(status: os.stat_result) -> tuple[int, int, int]:
    """What changes with every change of a file: inode, size (bytes), time of change (ns)."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> Note | None:
    """None also for a note that a power failure has left torn."""
    try:
        return Note.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
