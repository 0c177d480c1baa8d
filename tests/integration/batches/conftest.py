"""A batch of a folder, whose store is another folder, and a Prefect that runs no shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from flows.batches import shards
from inktally.batch.place import Place
from inktally.ports import Store
from tasks import wiring
from tests.support.batches import DEPLOYMENT, connected, forget
from tests.support.prefect_servers import PrefectServer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder without pictures, and a store of its own."""
    for name in ("STORE", "CACHE", "SCRATCH"):
        monkeypatch.setenv(f"INKTALLY_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("INKTALLY_LEASE_SECONDS", "1.5")
    (tmp_path / "pictures").mkdir()
    forget()
    yield wiring.place(str(tmp_path / "pictures"))
    forget()


@pytest.fixture
def store(place: Place) -> Store:
    return place.opened(wiring.settings())


@pytest.fixture(scope="module")
def prefect(prefect: PrefectServer) -> Iterator[PrefectServer]:
    """It knows a deployment of shards, which no worker runs."""
    with pytest.MonkeyPatch.context() as patch, connected(prefect.api) as client:
        patch.setattr(shards, "DEPLOYMENT", f"batch-shard/{DEPLOYMENT}")
        client.create_deployment(client.create_flow_from_name("batch-shard"), DEPLOYMENT)
        yield prefect


@pytest.fixture
def client(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    with connected(prefect.api) as made:
        yield made
