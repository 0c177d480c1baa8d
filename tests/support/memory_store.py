"""A store in memory, with a clock of its own, for unit tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

from inktally.delivery import StoredObject
from inktally.errors import NotFound, Overwritten, StoreDown


@dataclass
class MemoryStore:
    """Objects in a dictionary; `now` is the store's clock in seconds, `down` makes it unreachable.

    `failures`: how many of the next writes below a prefix fail.
    """

    uri: str = "s3://memory"
    now: float = 1_000_000.0
    down: bool = False
    failures: dict[str, int] = field(default_factory=dict)
    _objects: dict[str, tuple[StoredObject, bytes]] = field(default_factory=dict)
    _writes: int = 0
    _guard: RLock = field(default_factory=RLock)

    def _found(self, key: str) -> tuple[StoredObject, bytes]:
        if self.down:
            raise StoreDown("The store is down.")
        if key not in self._objects:
            raise NotFound(f"There is no {key}.")
        return self._objects[key]

    def _fails(self, key: str) -> bool:
        prefix = next((prefix for prefix, left in self.failures.items() if left and key.startswith(prefix)), None)
        if prefix is not None:
            self.failures[prefix] -= 1
        return prefix is not None

    def stat(self, key: str, version: str = "") -> StoredObject:
        found, _ = self._found(key)
        if version and version != found.version:
            raise NotFound(f"There is no version {version} of {key}.")
        return found.model_copy(update={"age": self.now - datetime.fromisoformat(found.modified).timestamp()})

    def read(self, key: str) -> bytes:
        return self._found(key)[1]

    def download(self, source: StoredObject, path: Path) -> str:
        found, content = self._found(source.key)
        if not found.same_version(source):
            raise Overwritten(f"{source.key} has been overwritten.")
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> StoredObject:
        content = content if isinstance(content, bytes) else content.read_bytes()
        with self._guard:
            present = self._objects.get(key)
            if self.down or self._fails(key):
                raise StoreDown("The store is down.")
            if (if_absent and present) or (if_match and (present is None or present[0].etag != if_match)):
                raise Overwritten(f"{key} is not as expected.")
            self._writes += 1
            written = StoredObject(
                key=key,
                etag=hashlib.md5(content, usedforsecurity=False).hexdigest(),
                size=len(content),
                version=f"v{self._writes}",
                modified=datetime.fromtimestamp(self.now, UTC).isoformat(),
                metadata=dict(metadata or {}),
            )
            self._objects[key] = written, content
        return written

    def copy(self, source: StoredObject, key: str, *, storage_class: str = "") -> StoredObject:
        del storage_class
        found, content = self._found(source.key)
        if not found.same_version(source):
            raise Overwritten(f"{source.key} has been overwritten.")
        return self.put(key, content, metadata=found.metadata)

    def delete(self, target: StoredObject) -> None:
        with self._guard:
            present = self._objects.get(target.key)
            if present is None:
                return
            if not present[0].same_version(target):
                raise Overwritten(f"{target.key} has been overwritten.")
            del self._objects[target.key]

    def remove(self, key: str) -> None:
        self._objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return (self.stat(key) for key in sorted(self._objects) if key.startswith(prefix))

    def address(self, key: str) -> str:
        return f"{self.uri}/{key}"
