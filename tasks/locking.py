"""A lock manager for Prefect's transactions whose locks live in the store and end when their holder dies."""

from __future__ import annotations

import asyncio
import time
from threading import Lock

from inktally import keys
from inktally.errors import NotFound
from inktally.lease import Lease
from inktally.ports import Store


class StoreLockManager:
    """Prefect's `LockManager`, on leases: exclusive across threads, processes and hosts that share the store.

    Prefect passes no time to hold a lock for; a lease lasts while this process renews it, and `ttl` seconds more.
    """

    def __init__(self, store: Store, ttl: float) -> None:
        self._store = store
        self._ttl = ttl
        self._held: dict[str, tuple[str, Lease]] = {}
        self._guard = Lock()

    def __deepcopy__(self, _memo: object) -> StoreLockManager:
        """Copies of a cache policy share the leases: they speak of the same locks."""
        return self

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Whether the lock is ours now; waits `acquire_timeout` seconds (None: for ever)."""
        if self.is_lock_holder(key, holder):
            return True
        lease = Lease(self._store, keys.lock(key), ttl=hold_timeout or self._ttl)
        if not lease.acquire(acquire_timeout):
            return False
        with self._guard:
            self._held[key] = (holder, lease)
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Raises `ValueError` when `holder` does not hold the lock."""
        with self._guard:
            found = self._held.get(key)
            if found is None or found[0] != holder:
                raise ValueError(f"{holder} does not hold the lock on {key}.")
            del self._held[key]
        found[1].release()

    def is_locked(self, key: str) -> bool:
        try:
            return self._store.stat(keys.lock(key)).age <= self._ttl
        except NotFound:
            return False

    def is_lock_holder(self, key: str, holder: str) -> bool:
        with self._guard:
            found = self._held.get(key)
        return found is not None and found[0] == holder and found[1].held

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Whether the lock became free within `timeout` seconds (None: for ever)."""
        give_up = None if timeout is None else time.monotonic() + timeout
        while self.is_locked(key):
            if give_up is not None and time.monotonic() > give_up:
                return False
            time.sleep(0.1)
        return True

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)
