"""How soon runs of a warm worker begin."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient

from tests.support.waiting import eventually
from tests.support.warm_workers import LIMIT, Worker, new_worker


@pytest.fixture(scope="module")
def worker(prefect_client: SyncPrefectClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with new_worker(prefect_client, tmp_path_factory.mktemp("warm")) as made:
        made.end_of(made.begin("first"))
        yield made


def test_a_run_begins_within_a_second_or_two_although_the_worker_asks_every_ten(worker: Worker) -> None:
    begun = time.time()
    worker.begin("quick")
    assert worker.facts("quick")["began"] - begun < 3


def test_runs_go_side_by_side_up_to_the_limit_and_the_next_follows_at_once(worker: Worker) -> None:
    eventually(worker.is_idle)
    runs = [worker.begin(f"parallel-{number}", seconds=2) for number in range(LIMIT + 1)]
    assert all(worker.end_of(run).is_completed() for run in runs)
    first, second, third = sorted(worker.facts(f"parallel-{number}")["began"] for number in range(LIMIT + 1))
    assert second - first < 2
    assert 2 <= third - first < 8
