"""What a batch's runs do when something fails beside them: the store, Prefect, an artefact, another run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from httpx import ConnectError
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed, Running
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console

from flows import batch_flow
from flows.batches import shards, work
from flows.batches.shards import Shard, ShardRun, ShardRuns, at_work, hand_in
from flows.commands import batch
from flows.commands.console import print_plan, print_summary
from inktally import keys
from inktally.batch import rounds
from inktally.batch.handover import Entry, PartsWriter
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.plan import Plan
from inktally.batch.rounds import Round, Share, Tally
from inktally.batch.summary import Summary
from inktally.delivery import Counting, Options, Upload
from inktally.document import CountedWord, WordCounts
from inktally.errors import BadSettings, Busy, Stopped
from inktally.lease import Lease, leased
from inktally.ports import Store
from inktally.steps import deliveries
from inktally.steps.choices import Choices
from tasks import batch_steps, caching, wiring
from tests.support.entries import a_receipt, keep_recognition
from tests.support.machine import draw
from tests.support.prefect_servers import PrefectServer
from tests.support.readings import a_recognition, a_word

CACHED = [
    *(each for each in vars(wiring).values() if hasattr(each, "cache_clear")),
    caching.recognition_cache,
]
DEPLOYMENT = "run-by-nobody"
NOBODY = "http://127.0.0.1:9/api"
COUNTS = WordCounts(words=(CountedWord(word="hand", count=1, confidence=91.5),))


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


def forget() -> None:
    for each in CACHED:
        each.cache_clear()


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


# one process


def test_what_is_known_of_a_picture_and_cannot_be_found_out_is_an_error_in_its_place(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(Path(place.source) / "a.png", "words")
    monkeypatch.setenv("INKTALLY_RESULT_STORAGE", "s3-bucket/away")
    forget()
    with temporary_settings({PREFECT_API_URL: NOBODY}):
        (looked,) = batch_steps.look_at.fn(store, list(place.pictures(store)), Options(), "")
    assert isinstance(looked, ConnectError)


def entry(store: Store, content: int) -> Entry:
    """A picture that was recognised, whose words were counted."""
    store.put(f"input/{content}.png", b"%d" % content)
    delivery = deliveries.look(store, Upload(key=f"input/{content}.png"))
    receipt = a_receipt(content, made_for=delivery.id)
    keep_recognition(store, receipt, a_recognition([a_word("hand")]), COUNTS)
    return Entry(delivery=delivery, receipt=receipt)


@pytest.mark.parametrize("damage", [b"", b"torn {"])
def test_a_recognition_that_has_gone_or_is_damaged_costs_its_own_pictures_alone(store: Store, damage: bytes) -> None:
    good, bad = entry(store, 1), entry(store, 2)
    assert bad.receipt
    store.remove(bad.receipt.artefact)
    if damage:
        store.put(bad.receipt.artefact, damage)
    writer = PartsWriter(store, "batches/x/")
    batch_steps.hand_over.fn(store, writer, [good, bad], Counting())
    (pictures,) = writer.handed.pictures
    answered = batch_steps.answer.fn(
        wiring.services_of_batch(store, has_uploaders=True),
        Choices(counting=Counting(), outputs=("word_counts",), after="keep"),
        pictures,
    )
    assert answered.tally == Tally(answered=1, unanswered=1, words=1)
    assert [failure.picture for failure in answered.failures] == [store.address("input/2.png")]


def test_a_run_that_was_taken_for_dead_leaves_the_round_of_the_next_one_alone(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, theirs = keys.batch_lease(place.name), f"{keys.batch(place.name)}b/pictures/000000.parquet"

    def recognised(*_: object) -> Share:
        take_over(store, key)
        rounds.keep(store, place, Round(attempt="b", options=Options(), share=Share()))
        store.put(theirs, b"")
        time.sleep(1)  # until we have seen it
        return Share()

    monkeypatch.setattr(batch_flow, "_recognised", recognised)
    with leased(store, key, ttl=1.5) as lease:
        batch_flow._batch(store, place, lease, Options(), 1, 0.0)  # noqa: SLF001 - the flow's body
    assert rounds.counted_round(store, place)
    assert store.stat(theirs)


def test_a_run_that_was_taken_for_dead_writes_down_no_round(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("count", "keep_batch_counts"):
        monkeypatch.setattr(batch_steps, name, lambda *_: None)
    with leased(store, keys.batch_lease(place.name), ttl=1.5) as lease:
        take_over(store, lease.key)
        time.sleep(1)
        with pytest.raises(Busy, match="another run has taken over"):
            batch_flow._count(store, place, lease, Round(attempt="a", options=Options(), share=Share()))  # noqa: SLF001
    assert rounds.counted_round(store, place) is None


def test_a_run_begins_as_soon_as_the_hold_of_one_that_was_killed_has_ended(place: Place, store: Store) -> None:
    store.put(keys.batch_lease(place.name), b"killed just now")
    with batch_flow._alone(store, place) as lease:  # noqa: SLF001
        assert lease.held


def test_the_plan_tells_of_a_counted_round_that_waits_and_refuses_what_a_run_would(place: Place, store: Store) -> None:
    share = Share(tally=Tally(recognised=2, rejected=1))
    assert batch._plan(place, Options()) == Plan()  # noqa: SLF001
    rounds.keep(store, place, Round(attempt="a", options=Options(), share=share))
    plan = batch._plan(place, Options())  # noqa: SLF001
    console = Console(file=StringIO(), width=100)
    print_plan(console, plan)
    assert plan == Plan(counted_before=3)
    assert "had counted 3 pictures" in console.file.getvalue()  # type: ignore[attr-defined]
    inside = Place(store=place.store, source=place.store, prefix="scans/")
    store.put("input/scans/1.png", b"an upload")
    with pytest.raises(BadSettings, match="same names"):
        batch._plan(inside, Options())  # noqa: SLF001


@pytest.mark.parametrize(("engines", "dollars"), [("tesseract,textract", 0.0015), ("tesseract,rapidocr", 0.0)])
@pytest.mark.usefixtures("place")
def test_auto_may_cost_what_its_paid_engines_cost(
    engines: str, dollars: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKTALLY_AUTO_ENGINES", engines)
    forget()
    assert batch._dollars_a_page("auto") == dollars  # noqa: SLF001


def test_pictures_that_other_runs_were_answering_are_told_of() -> None:
    console = Console(file=StringIO(), width=100)
    print_summary(console, Summary(tally=Tally(known=5, answered=3, unanswered=1, left_to_others=1)))
    assert "2 left to other runs, 1 not answered" in console.file.getvalue()  # type: ignore[attr-defined]


# shards


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


# recognising


def worked(place: Place, options: Options, part: Part, tell: Any = lambda _tally: None) -> Share:
    """A whole share of a batch, as a flow does it."""

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=work.READERS), persist_result=False)  # type: ignore[arg-type]
    def one_share() -> Share:
        return work.Work(place.opened(wiring.settings()), place, options, "attempt", "", part, tell=tell).run()

    return one_share()


@pytest.mark.usefixtures("client")
def test_a_refresh_reads_equal_pictures_once_however_many_there_are(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "WINDOW", 2)
    content = draw(Path(place.source) / "0.png", "equal words").read_bytes()
    for number in range(1, 9):
        (Path(place.source) / f"{number}.png").write_bytes(content)
    assert worked(place, Options(), Part(shares=2)).tally + worked(
        place, Options(), Part(number=1, shares=2)
    ).tally == Tally(recognised=1, known=8)
    refreshed = [worked(place, Options(refresh=True), Part(number=number, shares=2)).tally for number in (0, 1)]
    assert sum(refreshed, Tally()) == Tally(recognised=1, known=8)


@pytest.mark.usefixtures("client")
def test_under_a_rate_each_picture_is_told_of_when_it_has_been_read(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "WINDOW", 4)
    for number in range(8):
        draw(Path(place.source) / f"{number}.png", f"number {'abcdefgh'[number] * 3}")
    kept = []

    def tell(tally: Tally) -> None:
        kept.append((tally.looked_at, len(list(store.list(keys.RECOGNITIONS)))))

    begun = time.monotonic()
    worked(place, Options(), Part(shares=1, rate=2), tell)
    assert time.monotonic() - begun >= 3.5
    assert (len(kept), kept[0][0]) == (8, 1)
    assert kept[0][1] < 8
