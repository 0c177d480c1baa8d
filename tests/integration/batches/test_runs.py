"""What a batch's runs do when something fails beside them: the store, Prefect, an artefact, another run."""

from __future__ import annotations

import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from httpx import ConnectError
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console

from flows import batch_flow
from flows.batches import work
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
from inktally.errors import BadSettings, Busy
from inktally.lease import leased
from inktally.ports import Store
from inktally.steps import deliveries
from inktally.steps.choices import Choices
from tasks import batch_steps, wiring
from tests.support.batches import NOBODY, forget, take_over
from tests.support.entries import a_receipt, keep_recognition
from tests.support.machine import draw
from tests.support.readings import a_recognition, a_word

COUNTS = WordCounts(words=(CountedWord(word="hand", count=1, confidence=91.5),))


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
