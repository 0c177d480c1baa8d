"""Small objects that this process has just written or read, so that they are not fetched again."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

BYTES = 16 * 1024 * 1024
SECONDS = 60.0


@dataclass
class Recent:
    """Contents by key, of `most` bytes in all, none held for longer than `seconds`; for several threads."""

    most: int = BYTES
    seconds: float = SECONDS
    _held: OrderedDict[str, tuple[bytes, float]] = field(default_factory=OrderedDict)
    _size: int = 0
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: str) -> bytes | None:
        """What is held under a key; None where there is nothing, or nothing that is young enough."""
        with self._lock:
            content, until = self._held.get(key, (None, 0.0))
        return content if time.monotonic() < until else None

    def hold(self, key: str, content: bytes) -> None:
        """Hold a content, and let go of the oldest when there is too much."""
        with self._lock:
            self._drop(key)
            self._held[key] = content, time.monotonic() + self.seconds
            self._size += len(content)
            while self._size > self.most:
                self._drop(next(iter(self._held)))

    def drop(self, key: str) -> None:
        """For those who remove it."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        content, _ = self._held.pop(key, (b"", 0.0))
        self._size -= len(content)
