"""A picture over which processing fails again and again is set aside, and its uploader notified; no other suffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inktally import keys
from inktally.batch.answering import set_aside
from inktally.batch.handover import Entry
from inktally.delivery import Counting, Delivery, Problem, Receipt, Upload
from inktally.document import Engine, Recognition
from inktally.errors import (
    AccessDenied,
    BadSettings,
    Busy,
    CountFailed,
    EngineDown,
    EngineFailed,
    MailRefused,
    MissingTool,
    OutputFailed,
    PictureError,
    RepeatedFailure,
    RunsDown,
    ScratchFull,
    Stopped,
    StoreDown,
)
from inktally.intake import redriving, status
from inktally.lease import Lease
from inktally.outputs import hocr
from inktally.ports import PagesDone
from inktally.settings import Settings, read_settings
from inktally.steps import attempts, counting, deliveries, disposing, publishing, recognising
from inktally.steps.answering import Services
from inktally.steps.choices import Choices
from tests.support.desks import ENGINE, FakeCounter, FakeNotifier, FakePdfWriter, FakeRecogniser
from tests.support.fixtures import SharedSpark
from tests.support.forks import Forks
from tests.support.machine import Machine, draw, new_machine, words_of
from tests.support.memory_store import MemoryStore
from tests.support.prefect_servers import PrefectServer

MOST = 3
ANNA = "anna@example.org"


@dataclass
class Broken(FakeRecogniser):
    """Breaks over pictures with words, or over all."""

    error: Exception | None = None
    over_all: bool = False

    def recognise(self, picture: Path, engine: Engine, done: PagesDone | None = None) -> Recognition:
        is_blank = picture.read_bytes() == recognising.BLANK
        if self.error and (self.over_all or not is_blank):
            raise self.error
        if is_blank:
            return Recognition(engine=ENGINE, pages=(), words=(), text="")
        return super().recognise(picture, engine, done)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(scratch=tmp_path, max_attempts=MOST)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def deliver(store: MemoryStore, key: str = "input/page.png", **metadata: str) -> Delivery:
    store.put(key, b"some words", metadata=metadata)
    return deliveries.look(store, Upload(key=key, store=store.uri))


def read(store: MemoryStore, delivery: Delivery, settings: Settings, recogniser: Broken) -> Receipt:
    return recognising.recognise(store, recogniser, delivery, ENGINE, settings, refresh=False)


class TestWhatCounts:
    @pytest.mark.parametrize("error", [EngineFailed("It broke."), OutputFailed("No PDF.")])
    def test_the_last_of_the_failures_that_are_allowed_is_the_pictures(
        self, store: MemoryStore, settings: Settings, error: Exception
    ) -> None:
        delivery = deliver(store)
        ends = [attempts.failed(store, delivery, error, settings) for _ in range(MOST)]
        assert ends[:-1] == [error] * (MOST - 1)
        assert isinstance(ends[-1], RepeatedFailure)
        assert str(ends[-1]) == f"Processing the picture has failed 3 times ({type(error).__name__})."
        noted = attempts.Attempts.model_validate_json(store.read(keys.marker(delivery.id, "attempts")))
        assert noted.failures == (Problem.of(error),) * MOST

    @pytest.mark.parametrize(
        "error",
        [
            StoreDown("Away."), MailRefused("Later."), CountFailed("No Spark."), RunsDown("Away."), Stopped("Bye."),
            EngineDown("Throttled."), ScratchFull("Full."), MissingTool("None."), BadSettings("Bad."), Busy("Held."),
            AccessDenied("No."), ConnectionError("Of Prefect, or of anybody."),
        ],
    )  # fmt: skip
    def test_what_is_down_beside_the_picture_is_no_failure_of_it(
        self, store: MemoryStore, settings: Settings, error: Exception
    ) -> None:
        delivery = deliver(store)
        assert {attempts.failed(store, delivery, error, settings) for _ in range(10)} == {error}
        assert list(store.list("state/")) == []

    @pytest.mark.parametrize("error", [EngineFailed("It broke."), ValueError("a bug")])
    def test_an_engine_that_reads_no_picture_is_no_failure_of_one(
        self, store: MemoryStore, settings: Settings, error: Exception
    ) -> None:
        with pytest.raises(EngineDown, match="No picture can be read now"):
            read(store, deliver(store), settings, Broken(error=error, over_all=True))

    def test_a_store_that_is_away_when_it_is_to_be_noted_changes_nothing(
        self, store: MemoryStore, settings: Settings
    ) -> None:
        delivery, error = deliver(store), EngineFailed("It broke.")
        store.down = True
        assert attempts.failed(store, delivery, error, settings) is error

    @pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError(), RecursionError()])
    def test_an_error_that_nobody_has_foreseen_is_one_of_the_engine_or_the_output(
        self, store: MemoryStore, settings: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delivery = deliver(store)
        with pytest.raises(EngineFailed, match=type(error).__name__):
            read(store, delivery, settings, Broken(error=error))
        receipt, how = read(store, delivery, settings, Broken()), Counting()
        counting.count(store, FakeCounter(), [receipt], how)
        reading = counting.reading_of(store, delivery, receipt, how)

        def broken(*_: object) -> str:
            raise error

        monkeypatch.setattr(hocr, "pages", broken)
        with pytest.raises(OutputFailed, match="hocr could not be made"):
            publishing.publish(store, delivery, reading, ["hocr"], FakePdfWriter(), settings)


class TestKilled:
    """Nobody can note down its own death: the next one finds a lease that was not given up."""

    def test_each_death_of_a_reader_counts_and_the_last_is_the_pictures(
        self, store: MemoryStore, settings: Settings
    ) -> None:
        delivery, recogniser = deliver(store), Broken()
        content = read(store, delivery, settings, recogniser).content
        lock = keys.lock(keys.recognition(content, ENGINE.fingerprint))
        store.remove(keys.recognition(content, ENGINE.fingerprint))
        for deaths in range(1, MOST):
            store.put(lock, b"of one who has died")
            store.now += settings.lease_seconds + 1
            with pytest.raises(EngineFailed, match="It broke"):
                read(store, delivery, settings, Broken(error=EngineFailed("It broke.")))
            noted = attempts.Attempts.model_validate_json(store.read(keys.marker(delivery.id, "attempts")))
            assert len(noted.failures) == deaths
        store.put(lock, b"of one who has died")
        store.now += settings.lease_seconds + 1
        with pytest.raises(RepeatedFailure, match="failed 3 times"):
            read(store, delivery, settings, recogniser)
        assert len(recogniser.read) == 1
        assert list(store.list("locks/")) == []

    def test_who_gives_up_a_lease_has_not_died(self, store: MemoryStore, settings: Settings) -> None:
        delivery = deliver(store)
        for _ in range(MOST + 1):
            with pytest.raises(StoreDown):
                read(store, delivery, settings, Broken(error=StoreDown("Away.")))
        assert list(store.list("state/")) == []

    def test_a_lease_tells_whether_its_holder_before_has_died(self, store: MemoryStore) -> None:
        first, second = Lease(store, "locks/x", ttl=30), Lease(store, "locks/x", ttl=30)
        assert (first.acquire(), first.took_over) == (True, False)
        first.release()
        store.put("locks/x", b"of one who has died")
        store.now += 31
        assert (second.acquire(), second.took_over) == (True, True)
        second.release()


def test_a_redriven_picture_begins_with_no_failures(store: MemoryStore, settings: Settings) -> None:
    delivery, error = deliver(store), EngineFailed("It broke.")
    for _ in range(MOST):
        last = attempts.failed(store, delivery, error, settings)
    disposing.reject(store, delivery, Problem.of(last))
    (failure,) = redriving.failures(store)
    again = deliveries.look(store, redriving.redrive(store, failure))
    assert failure.problem.kind == "RepeatedFailure"
    assert attempts.failed(store, again, error, settings) is error


def test_its_status_says_what_to_do(store: MemoryStore, settings: Settings) -> None:
    delivery = deliver(store, "input/web/AAAAAAAAAAAAAAAAAAAAAA/page.png")
    status.take_up(store, delivery, settings)
    choices = Choices(counting=Counting(), outputs=(), after="keep")
    services = Services(store, FakePdfWriter(), FakeNotifier(), settings)
    entries = [Entry(delivery=delivery)]
    for _ in range(MOST - 1):
        assert isinstance(set_aside(services, choices, entries, OutputFailed("/a/path")), OutputFailed)
    assert not isinstance(set_aside(services, choices, entries, OutputFailed("/a/path")), Exception)
    told = status.status_of(store, "AAAAAAAAAAAAAAAAAAAAAA", settings)
    assert (told.state, told.is_final, told.problem and told.problem.kind) == ("failed", True, "RepeatedFailure")
    assert "save the picture anew" in told.advice
    assert "/a/path" not in told.model_dump_json()


def test_it_is_a_fault_of_the_picture() -> None:
    assert issubclass(RepeatedFailure, PictureError)


BREAKS = 'case " $* " in *" -l "*) [ "$(stat -c %s "$1")" -gt 100000 ] && exit 3;; esac'
"""Shell in front of Tesseract, which breaks over large pictures only."""


class TestCommands:
    """The real flows, with an engine that breaks over one picture of three."""

    @pytest.fixture
    def machine(self, tmp_path: Path, forks: Forks, prefect: PrefectServer, spark: SharedSpark) -> Iterator[Machine]:
        servers = {"PREFECT_API_URL": prefect.api, "INKTALLY_SPARK_REMOTE": spark.address}
        with new_machine(tmp_path / "machine", forks, **servers, INKTALLY_MAX_ATTEMPTS="1") as made:
            made.count_starts_of("tesseract", BREAKS)
            for text in ("hand", "made", "large letters".center(60)):
                draw(made.folder / "pages" / f"{text.split()[0]}.png", text)
            yield made

    def test_an_upload_is_set_aside_and_its_uploader_notified_and_it_can_be_redriven(self, machine: Machine) -> None:
        run = machine.run(machine.folder / "pages", "--to", ANNA, "--json")
        kinds = sorted(str((outcome["error"] or {}).get("kind")) for outcome in run.objects)
        assert kinds == ["None", "None", "RepeatedFailure"], run.stdout
        bodies = [mail.get_body(("plain",)) for mail in machine.mails() if "could not be read" in str(mail["Subject"])]
        told = [" ".join(body.get_content().split()) for body in bodies if body]
        assert ["save the picture anew" in text for text in told] == [True]
        failed = [key.key for key in machine.opened_store.list("failed/")]
        assert [key.endswith(keys.REASON) for key in sorted(failed)] == [False, True]
        machine.count_starts_of("tesseract")
        machine.command = (*machine.command[:2], "flows.redrive_flow")
        again = machine.run(min(failed), "--json")
        assert (again.status, again.only["error"]) == (0, None)
        assert words_of(again.only["outputs"]["word_counts"]) == {"large": 1, "letters": 1}
        assert list(machine.opened_store.list("failed/")) == []

    def test_a_batch_reports_it_and_counts_the_others(self, machine: Machine) -> None:
        machine.command = (*machine.command[:2], "flows.batch_flow")
        run = machine.run(machine.folder / "pages", "--json")
        tally = {name: number for name, number in run.only["tally"].items() if number}
        assert tally == {"recognised": 2, "rejected": 1, "answered": 3, "words": 2}, run.stdout
        assert [failure["problem"]["kind"] for failure in run.only["failures"]] == ["RepeatedFailure"]
        machine.forget_starts()
        again = machine.run(machine.folder / "pages", "--json")
        assert (again.only["tally"]["answered_before"], machine.recognitions()) == (3, 0)
