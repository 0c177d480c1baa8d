"""A store in which the pictures of another appear, to be read where they lie."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from inktally.delivery import StoredObject
from inktally.errors import AccessDenied
from inktally.ports import Store


class Mounted:
    """`store`, but for keys that begin with `at`: behind those stand the objects of `source`, which is only read.

    What `store` itself has under such keys is not seen.
    """

    def __init__(self, store: Store, source: Store, at: str) -> None:
        self._store = store
        self._source = source
        self._at = at

    @property
    def uri(self) -> str:
        return self._store.uri

    def stat(self, key: str, version: str = "") -> StoredObject:
        if not self._is_behind(key):
            return self._store.stat(key, version)
        return self._shown(self._source.stat(self._own(key), version))

    def read(self, key: str) -> bytes:
        return self._source.read(self._own(key)) if self._is_behind(key) else self._store.read(key)

    def download(self, source: StoredObject, path: Path) -> str:
        if not self._is_behind(source.key):
            return self._store.download(source, path)
        return self._source.download(source.model_copy(update={"key": self._own(source.key)}), path)

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> StoredObject:
        self._refuse(key)
        return self._store.put(key, content, metadata=metadata, if_absent=if_absent, if_match=if_match)

    def copy(self, source: StoredObject, key: str, *, storage_class: str = "") -> StoredObject:
        self._refuse(source.key)
        self._refuse(key)
        return self._store.copy(source, key, storage_class=storage_class)

    def delete(self, target: StoredObject) -> None:
        self._refuse(target.key)
        self._store.delete(target)

    def remove(self, key: str) -> None:
        self._refuse(key)
        self._store.remove(key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        if self._is_behind(prefix):
            yield from map(self._shown, self._source.list(self._own(prefix)))
        else:
            yield from (found for found in self._store.list(prefix) if not self._is_behind(found.key))

    def address(self, key: str) -> str:
        return self._source.address(self._own(key)) if self._is_behind(key) else self._store.address(key)

    def _is_behind(self, key: str) -> bool:
        return key.startswith(self._at)

    def _own(self, key: str) -> str:
        return key.removeprefix(self._at)

    def _shown(self, found: StoredObject) -> StoredObject:
        return found.model_copy(update={"key": self._at + found.key})

    def _refuse(self, key: str) -> None:
        if self._is_behind(key):
            raise AccessDenied(f"{self.address(key)} is only read; results go to {self.uri}.")
