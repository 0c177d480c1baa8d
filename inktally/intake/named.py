"""The pictures that a command line names: local files, folders, and s3:// URIs."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inktally import keys
from inktally.document import sha256_of
from inktally.errors import InktallyError, NotFound
from inktally.imaging.decoding.formats import is_picture


@dataclass(frozen=True)
class Named:
    """A picture as it was named: a local file, or an object of a store; or what is wrong with the name.

    `folders` says how many of a local file's folders belong to its name: those below the folder that was named. One
    picture is equal to itself however it was named.
    """

    label: str = field(compare=False)
    path: Path | None = None
    folders: int = field(default=0, compare=False)
    store: str = ""
    key: str = ""
    error: InktallyError | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders and the name, from the root or the bucket on."""
        if self.path is not None:
            return tuple(_text(part) for part in self.path.parts[1:])
        return self.store.removeprefix("s3://"), *self.key.removeprefix(keys.INPUT).split("/")


def named_pictures(arguments: Iterable[str]) -> list[Named]:
    """All pictures the arguments stand for; folders give the pictures in them, in order of name."""
    return [picture for argument in arguments for picture in _expanded(argument)]


def _expanded(argument: str) -> Iterator[Named]:
    path, label = Path(argument), _text(argument)
    if argument.startswith("s3://"):
        bucket, _, key = label.removeprefix("s3://").partition("/")
        yield Named(label, store=f"s3://{bucket}", key=key, folders=key.removeprefix(keys.INPUT).count("/"))
    elif argument and path.is_dir():  # "" would be the working folder
        found = sorted(file for file in _files(path) if is_picture(file.name))
        if not found:
            yield Named(label, error=NotFound(f"There are no pictures in the folder {label}."))
        yield from (Named(_text(str(file)), _located(file), len(file.relative_to(path).parts) - 1) for file in found)
    elif path.is_file():
        yield Named(label, _located(path))
    else:
        yield Named(label, error=NotFound(f"There is no file or folder {label or repr(label)}."))


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in files if not name.startswith("."))


def _located(file: Path) -> Path:
    """The one absolute path of a file; a link keeps its own name."""
    return file.parent.resolve() / file.name


def input_keys(pictures: Iterable[Named]) -> dict[Named, str]:
    """A key below input/ for each picture: its name, with as many of its folders as tell it from the others."""
    depth = {picture: picture.folders + 1 for picture in pictures if not picture.error}
    for _ in range(max((len(picture.parts) for picture in depth), default=0)):
        names = _names(depth)
        often = Counter(names.values())
        for picture in depth:
            depth[picture] += often[names[picture]] > 1
    names = _names(depth)
    often = Counter(names.values())
    return {picture: keys.received(name, _mark(picture) if often[name] > 1 else "") for picture, name in names.items()}


def _names(depth: Mapping[Named, int]) -> dict[Named, str]:
    return {picture: "/".join(picture.parts[-parts:]) for picture, parts in depth.items()}


def _mark(picture: Named) -> str:
    """Tells apart even names that are the same when written as text."""
    return "~" + sha256_of(str(picture.path), picture.store, picture.key)[:8]


def _text(name: str) -> str:
    """A file's name as a key: bytes that are no UTF-8 are written out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
