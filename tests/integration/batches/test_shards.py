"""What the run that divides a batch does when a shard, Prefect or another run fails beside it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from httpx import ConnectError
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Completed, Failed, Running

from flows.batches import shards
from flows.batches.shards import Shard, ShardRun, ShardRuns, at_work, hand_in
from inktally import keys
from inktally.batch import rounds
from inktally.batch.place import Place
from inktally.batch.rounds import Share, Tally
from inktally.delivery import Options
from inktally.errors import Stopped
from inktally.ports import Store
from tasks import wiring
from tests.support.batches import DEPLOYMENT, NOBODY, connected
from tests.support.prefect_servers import PrefectServer


def shard(place: Place) -> Shard:
    made = Shard(pictures=place.address, store=place.store, options=Options(), attempt="attempt")
    place.opened(wiring.settings()).put(made.begun, b"")
    return made


def opened(ours: Shard) -> Store:
    return ours.place.opened(wiring.settings())


def test_a_shard_that_hands_in_while_it_is_looked_at_is_not_begun_again(
    place: Place, prefect: PrefectServer, client: SyncPrefectClient
) -> None:
    ours = shard(place)

    def read_flow_runs(**asked: Any) -> Any:
        hand_in(opened(ours), ours, Share(tally=Tally(known=3)))
        (run,) = client.read_flow_runs(**asked)
        client.set_flow_run_state(run.id, Completed(), force=True)
        return client.read_flow_runs(**asked)

    before = len(prefect.runs(DEPLOYMENT))
    watch = ShardRuns(place.opened(wiring.settings()), SimpleNamespace(read_flow_runs=read_flow_runs))  # type: ignore[arg-type]
    watch.begin(ours)
    assert watch.look()
    assert (watch.tally, len(prefect.runs(DEPLOYMENT)) - before) == (Tally(known=3), 1)


def test_a_shard_that_was_done_before_is_left_at_once(place: Place) -> None:
    ours = shard(place)
    hand_in(opened(ours), ours, Share())
    with pytest.raises(Stopped, match="has done this shard"), at_work(opened(ours), ours):
        pytest.fail("it was begun")


def test_a_shard_whose_batch_has_ended_stops(place: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "NEXT_LOOK", 0.0)
    ours = shard(place)
    with at_work(opened(ours), ours) as tell:
        tell(Tally(known=1))
        rounds.clear(store, place)
        with pytest.raises(Stopped, match="has ended"):
            tell(Tally(known=2))
    assert [found.key for found in store.list(keys.BATCHES)] == []
    with pytest.raises(Stopped, match="has ended"), at_work(opened(ours), ours):
        pytest.fail("it was begun")


def test_a_shard_that_is_stopped_keeps_the_state_it_has_ended_in(place: Place, client: SyncPrefectClient) -> None:
    def stopped(*states: Any) -> str:
        watched = ShardRun(place.opened(wiring.settings()), shard(place))
        for state in states:
            client.set_flow_run_state(watched.run, state, force=True)
        watched.stop(client)
        state = client.read_flow_run(watched.run).state
        assert state
        return state.type.value

    ended = [stopped(), stopped(Running()), stopped(Running(), Failed()), stopped(Running(), Completed())]
    assert ended == ["CANCELLED", "CANCELLING", "FAILED", "COMPLETED"]


def test_a_shard_is_begun_again_after_a_pause_that_grows(
    place: Place, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "NEXT_QUESTION", 0.0)
    watch, pauses = ShardRuns(place.opened(wiring.settings()), client), []
    watch.begin(shard(place))
    (watched,) = watch._watched  # noqa: SLF001
    for is_deleted in (False, True, False):
        if is_deleted:
            client.delete_flow_run(watched.run)
        else:
            state = client.set_flow_run_state(watched.run, Failed(), force=True)
            assert state
        assert not watch.is_over()
        run = client.read_flow_run(watched.run)
        assert run.expected_start_time
        assert run.created
        pauses.append((run.expected_start_time - run.created).total_seconds())
    assert pauses == pytest.approx([2, 6, 14], abs=1.9)


def test_while_prefect_is_away_a_shard_is_waited_for_and_not_for_ever(
    place: Place, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "NEXT_QUESTION", 0.0)
    watch = ShardRuns(place.opened(wiring.settings()), client)
    watch.begin(shard(place))
    with connected(NOBODY) as away:
        watch._client = away  # noqa: SLF001
        assert not watch.is_over()
        watch.__exit__(KeyboardInterrupt)  # it cannot be told, which is no error
        monkeypatch.setattr(shards, "PATIENCE", 0.0)
        with pytest.raises(ConnectError):
            watch.is_over()
    monkeypatch.undo()
    watch._client = client  # noqa: SLF001
    assert not watch.is_over()


def test_many_shards_are_looked_at_with_few_requests(
    place: Place, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "RUNS_AT_ONCE", 2)
    asked: list[int] = []

    def read_flow_runs(**what: Any) -> Any:
        asked.append(len(what["flow_run_filter"].id.any_))
        return client.read_flow_runs(**what)

    watch = ShardRuns(place.opened(wiring.settings()), SimpleNamespace(read_flow_runs=read_flow_runs))  # type: ignore[arg-type]
    parts = shard(place).divided(5, 0)
    for part in parts:
        watch.begin(part)
    assert not watch.look()
    assert asked == [2, 2, 1]
    for part in parts:
        hand_in(opened(part), part, Share(tally=Tally(known=1)))
    assert watch.look()
    assert (watch.tally, watch.share.tally) == (Tally(known=5), Tally(known=5))
