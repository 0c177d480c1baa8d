"""Where the pictures of a batch lie, and where its results go."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import Field

from inktally import keys, plugins
from inktally.batch.mounted import Mounted
from inktally.delivery import StoredObject
from inktally.document import Value, sha256_of
from inktally.errors import BadSettings, NotFound
from inktally.imaging.decoding.formats import is_picture
from inktally.ports import Store
from inktally.settings import Settings

HIDDEN = "."
LONGEST_LABEL = 60
"""Characters: a name is a part of keys, and may be a folder's name (255 bytes)."""


class Place(Value):
    """The pictures below a prefix of one store, whose results go to the same store or to another.

    Those of another store appear in the results' own below `mount`, as if they had been uploaded there.
    """

    store: str = Field(title="Store", description="Where results go: s3://bucket, or a folder")
    source: str = Field(title="Source", description="Where the pictures lie: s3://bucket, or a folder")
    prefix: str = Field(default="", title="Prefix", description="What the pictures' keys in the source begin with")

    @property
    def mount(self) -> str:
        """What comes before the keys of another store's pictures; empty: they stand in the results' own store."""
        return "" if self.source == self.store else f"{keys.INPUT}{_marked(self.source)}/"

    @property
    def address(self) -> str:
        """What names this place: s3://bucket/prefix, or a folder."""
        return f"{self.source}/{self.prefix}"

    @property
    def name(self) -> str:
        """For people, and unlike any other place's."""
        is_bucket = self.source.startswith("s3://") and not self.prefix
        return PurePosixPath(self.source).name if is_bucket else _marked(self.source, self.prefix)

    def opened(self, settings: Settings) -> Store:
        """The store of the results, with the pictures in it."""
        store = plugins.store(self.store, settings)
        return Mounted(store, plugins.source(self.source, settings), self.mount) if self.mount else store

    def pictures(self, store: Store) -> Iterator[StoredObject]:
        """All pictures of the opened place, as they are listed. Hidden files are none, nor is what we have written."""
        begin, ours = self.mount + self.prefix, self._ours
        for found in store.list(begin):
            parts = found.key.removeprefix(begin).split("/")
            is_hidden = any(part.startswith(HIDDEN) for part in parts)
            if is_picture(found.key) and not is_hidden and not found.key.startswith(ours):
                yield found

    def refuse_names_of_others(self, store: Store) -> None:
        """Raises `BadSettings` where uploads would have outputs of the same names as pictures of this place.

        Keys of uploads lose their input/, so those of pictures that stand elsewhere in the store could be theirs.
        """
        if self.mount or self.prefix.startswith(keys.INPUT):
            return
        for uploads in (keys.INPUT, keys.ARCHIVE):
            other = next(store.list(uploads + self.prefix), None)
            if other is not None:
                raise BadSettings(
                    f"Outputs of pictures in {self.address} might have the same names as that of "
                    f"{store.address(other.key)}; have the batch's results go to another store (--store)."
                )

    @property
    def _ours(self) -> tuple[str, ...]:
        """What keys begin with whose objects we have written ourselves: PDFs are pictures, too."""
        if not self.mount:
            return (keys.OUTPUT,)
        results, source = Path(self.store), Path(self.source)  # one in S3 is below no folder
        return (f"{self.mount}{results.relative_to(source).as_posix()}/",) if results.is_relative_to(source) else ()


def place_of(named: str, store: str, settings: Settings) -> Place:
    """The place that s3://bucket/prefix/ or a folder names; results go to `store`, empty: to where pictures in S3 lie.

    Of a whole store that results go to, input/ is meant. Raises `NotFound` when there is no such folder.
    """
    if named.startswith("s3://"):
        bucket, _, prefix = named.removeprefix("s3://").partition("/")
        source = f"s3://{bucket}"
    else:
        source, prefix = _folder(named), ""
    results = plugins.store(store, settings).uri if store else source
    if prefix == "" and not source.startswith("s3://") and Path(source).is_relative_to(results):
        inside = Path(source).relative_to(results).as_posix()
        source, prefix = results, "" if inside == HIDDEN else f"{inside}/"
    if source == results and not prefix:
        prefix = keys.INPUT
    return Place(store=results, source=source, prefix=prefix)


def _marked(source: str, prefix: str = "") -> str:
    """The last part of a place's name, with a mark: there may be many of one name, and uploads below one of that."""
    last = PurePosixPath(prefix).name or PurePosixPath(source).name
    readable = "".join(letter if letter.isprintable() else "_" for letter in last[:LONGEST_LABEL])
    return f"{readable}-{sha256_of(source, prefix)[:8]}"


def _folder(named: str) -> str:
    folder = Path(named)
    shown = os.fsencode(named).decode("utf-8", "backslashreplace")
    if not named or not folder.is_dir():
        raise NotFound(f"There is no folder {shown or repr(shown)}; name one, or s3://bucket/prefix/.")
    resolved = str(folder.resolve())
    if resolved != resolved.encode(errors="ignore").decode():
        raise NotFound(f"The name of the folder {shown} is no UTF-8; rename it.")
    return resolved
