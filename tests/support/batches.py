"""Batches that run in a test's own process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from inktally.lease import Lease
from inktally.ports import Store
from tasks import caching, wiring

CACHED = [
    *(each for each in vars(wiring).values() if hasattr(each, "cache_clear")),
    caching.recognition_cache,
]

DEPLOYMENT = "run-by-nobody"

NOBODY = "http://127.0.0.1:9/api"


def forget() -> None:
    for each in CACHED:
        each.cache_clear()


@contextmanager
def connected(api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as made:
        yield made


def take_over(store: Store, key: str) -> Lease:
    """As another run does that finds a lease which was not renewed in time."""
    long_ago = time.time() - 60
    os.utime(store.address(key), (long_ago, long_ago))
    other = Lease(store, key, ttl=60)
    assert other.acquire(1)
    return other
