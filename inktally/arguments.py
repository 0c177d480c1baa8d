"""The pictures that a command line names: local files, folders, and s3:// URIs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inktally.errors import InktallyError, NotFound
from inktally.imaging.decode import PICTURE_SUFFIXES
from inktally.keys import INPUT


@dataclass(frozen=True)
class Named:
    """A picture as it was named: a local file, or an object of a store; or what is wrong with the name.

    `folders` says how many of a local file's folders belong to its name: those below the folder that was named.
    """

    label: str
    path: Path | None = None
    folders: int = 0
    store: str = ""
    key: str = ""
    error: InktallyError | None = None


def named_pictures(arguments: Iterable[str]) -> list[Named]:
    """All pictures the arguments stand for; folders give the pictures in them, in order of name."""
    return [picture for argument in arguments for picture in _expanded(argument)]


def _expanded(argument: str) -> Iterator[Named]:
    if argument.startswith("s3://"):
        bucket, _, key = argument.removeprefix("s3://").partition("/")
        yield Named(argument, store=f"s3://{bucket}", key=key)
        return
    path = Path(argument)
    if path.is_dir():
        found = sorted(file for file in _files(path) if is_picture(file.name))
        if not found:
            yield Named(argument, error=NotFound(f"There are no pictures in the folder {argument}."))
        yield from (Named(str(file), path=file, folders=len(file.relative_to(path).parts) - 1) for file in found)
    elif path.is_file():
        yield Named(argument, path=path)
    else:
        yield Named(argument, error=NotFound(f"There is no file or folder {argument}."))


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture when a folder is read."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in files if not name.startswith("."))


def input_keys(pictures: Sequence[Named]) -> dict[Path, str]:
    """A key below input/ for each local file: its name, with as many of its folders as tell it from the others."""
    depth = {picture.path.absolute(): picture.folders + 1 for picture in pictures if picture.path}
    while True:
        names = {path: _text("/".join(path.parts[1:][-parts:])) for path, parts in depth.items()}
        often = Counter(names.values())
        clashing = [path for path, name in names.items() if often[name] > 1]
        if not clashing:
            return {path: INPUT + name for path, name in names.items()}
        for path in clashing:
            depth[path] += 1


def _text(name: str) -> str:
    """A file's name as a key: bytes that are no UTF-8 are written out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
