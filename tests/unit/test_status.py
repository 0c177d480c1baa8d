"""What has become of an upload over the web, as the store tells it."""

from __future__ import annotations

import pytest

from inktally import keys
from inktally.delivery import Delivery, Outcome, Problem, Upload as Uploaded
from inktally.errors import Busy, NotFound, StoreDown
from inktally.intake import status
from inktally.intake.status import Status
from inktally.intake.web import new_id, receive
from inktally.lease import Lease
from inktally.settings import read_settings
from inktally.steps import deliveries, disposing, markers
from tests.support.memory_store import MemoryStore

SETTINGS = read_settings(_env_file=None)
PNG = b"\x89PNG and so on"


class Upload:
    """An upload over the web, and a run that is told what to do."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.received = receive(self.store, PNG, SETTINGS, name="a.png", email="anna@example.org")
        self.id = keys.web_upload_of(self.received.picture.key)
        self.claim: Lease | None = None

    @property
    def delivery(self) -> Delivery:
        return status.delivery_of(self.store, self.id)

    @property
    def status(self) -> Status:
        return status.status_of(self.store, self.id, SETTINGS)

    def begin(self) -> None:
        self.claim = Lease(self.store, keys.marker(self.delivery.id, "claim"), ttl=SETTINGS.lease_seconds)
        assert self.claim.acquire(0)
        status.take_up(self.store, self.delivery, SETTINGS)

    def end(self) -> None:
        assert self.claim is not None
        self.claim.release()

    def put_again(self) -> Delivery:
        """Another picture under the same key, as a store's form takes it within the hour."""
        self.store.now += 5
        key = self.received.upload.key
        self.store.put(key, PNG + b"!")
        return deliveries.look(self.store, Uploaded(key=key, store=self.store.uri))

    def answer(self, **facts: object) -> None:
        outcome = Outcome.model_validate({"upload": "somewhere", **facts})
        markers.mark_answered(self.store, self.delivery, outcome)


@pytest.fixture
def upload() -> Upload:
    return Upload()


def test_nothing_is_known_of_an_id_that_nobody_has_used() -> None:
    with pytest.raises(NotFound):
        status.status_of(MemoryStore(), new_id(), SETTINGS)


def test_an_upload_waits_until_a_run_takes_it_up(upload: Upload) -> None:
    upload.store.now += 7
    assert (upload.status.state, upload.status.seconds) == ("received", {"waiting": 7.0, "total": 7.0})
    assert upload.status.name == "a.png"
    assert not upload.status.is_final


def test_each_stage_is_shown_with_the_seconds_of_those_before_it(upload: Upload) -> None:
    upload.store.now += 1
    upload.begin()
    upload.store.now += 2
    status.note(upload.store, upload.delivery, "recognising")
    upload.store.now += 3
    assert (upload.status.state, upload.status.seconds["recognise"]) == ("recognising", 3.0)
    status.note(upload.store, upload.delivery, "counting")
    upload.store.now += 4
    assert upload.status.state == "counting"
    assert upload.status.seconds == {"waiting": 1.0, "recognise": 3.0, "count": 4.0, "total": 10.0}
    upload.end()


def test_an_answer_tells_its_counts_and_steps_and_no_address(upload: Upload) -> None:
    upload.store.now += 2
    upload.begin()
    upload.store.now += 5
    upload.answer(words=3, distinct=2, cached=True, outputs={"word_counts": "x"}, notified="anna@example.org")
    told = upload.status
    assert (told.state, told.is_final, told.words, told.distinct) == ("answered", True, 3, 2)
    assert (told.outputs, told.notified, told.seconds["total"]) == (("word_counts",), True, 7.0)
    assert told.seconds["waiting"] == 2.0
    assert "anna" not in told.model_dump_json()
    upload.end()


def test_a_picture_at_fault_tells_what_to_do(upload: Upload) -> None:
    upload.begin()
    problem = Problem(kind="UnreadablePicture", message="It is cut short.")
    disposing.reject(upload.store, upload.delivery, problem)
    upload.answer(error=problem)
    told = upload.status
    assert (told.state, told.problem, told.picture) == ("failed", problem, "set aside")
    assert "save it anew" in told.advice
    assert told.words is None
    upload.end()


def test_an_answer_that_could_not_be_mailed_is_an_answer(upload: Upload) -> None:
    upload.answer(words=3, error=Problem(kind="RecipientRefused", message="No such address."))
    assert (upload.status.state, upload.status.words, upload.status.notified) == ("answered", 3, False)


def test_a_run_of_ours_that_failed_is_a_delay_and_tells_no_secrets(upload: Upload) -> None:
    upload.begin()
    status.note(upload.store, upload.delivery, "recognising")
    status.note_problem(upload.store, upload.delivery, StoreDown("http://10.0.0.7:7480 is away"))
    upload.end()
    told = upload.status
    assert (told.state, told.is_final) == ("delayed", False)
    assert told.problem is not None
    assert told.problem.kind == "StoreDown"
    assert "10.0.0.7" not in told.model_dump_json()


def test_the_next_run_begins_anew(upload: Upload) -> None:
    upload.begin()
    status.note(upload.store, upload.delivery, "counting")
    status.note_problem(upload.store, upload.delivery, StoreDown("away"))
    upload.end()
    upload.store.now += 10
    upload.begin()
    assert upload.status.state == "received"
    upload.end()


def test_a_run_that_was_killed_is_waited_for_again(upload: Upload) -> None:
    upload.begin()
    status.note(upload.store, upload.delivery, "recognising")
    upload.end()
    upload.store.now += SETTINGS.lease_seconds + 1
    assert upload.status.state == "received"


@pytest.mark.parametrize(("after", "where"), [("archive", "archived"), ("delete", "deleted")])
def test_the_status_outlives_the_picture(upload: Upload, after: str, where: str) -> None:
    upload.begin()
    settings = read_settings(_env_file=None, after=after)
    upload.store.put("output/word_counts/" + upload.received.upload.name + ".json", b"{}")
    disposing.dispose(upload.store, upload.delivery, {"word_counts": "x"}, settings.after, settings)
    upload.answer(words=3, outputs={"word_counts": "x"})
    assert not list(upload.store.list("input/"))
    assert (upload.status.state, upload.status.picture) == ("answered", where)
    assert status.output_of(upload.store, upload.delivery, "word_counts") == b"{}"
    upload.end()


def test_another_picture_put_in_the_place_of_an_answered_one_is_not_read(upload: Upload) -> None:
    upload.begin()
    upload.answer(words=3)
    upload.end()
    other = upload.put_again()
    status.take_up(upload.store, other, SETTINGS)
    refused = markers.outcome_of(upload.store, other)
    assert refused is not None
    assert refused.error is not None
    assert "upload of its own" in refused.error.message
    assert (upload.status.state, upload.status.words) == ("answered", 3)


def test_another_picture_waits_for_the_one_that_is_read_and_takes_its_place_when_nobody_answers_it(
    upload: Upload,
) -> None:
    upload.begin()
    other = upload.put_again()
    with pytest.raises(Busy):
        status.take_up(upload.store, other, SETTINGS)
    upload.end()
    status.take_up(upload.store, other, SETTINGS)
    assert upload.delivery == other
    assert not markers.is_answered(upload.store, other)


def test_what_was_mailed_after_it_was_answered_shows_as_told(upload: Upload) -> None:
    upload.begin()
    upload.answer(words=3)
    assert not upload.status.notified
    upload.store.put(keys.marker(upload.delivery.id, "mailed"), b"")
    assert upload.status.notified


def test_nothing_is_noted_of_pictures_that_came_in_another_way() -> None:
    store = MemoryStore()
    store.put("input/a.png", PNG)
    delivery = deliveries.look(store, Delivery(upload={"key": "input/a.png"}, picture=store.stat("input/a.png")).upload)
    status.take_up(store, delivery, SETTINGS)
    status.note(store, delivery, "recognising")
    status.note_problem(store, delivery, StoreDown("away"))
    assert [each.key for each in store.list("")] == ["input/a.png"]


def test_a_store_that_is_away_does_not_stop_the_run(upload: Upload) -> None:
    delivery = upload.delivery
    upload.store.down = True
    status.take_up(upload.store, delivery, SETTINGS)
    status.note(upload.store, delivery, "recognising")
    status.note_problem(upload.store, delivery, StoreDown("away"))


def test_there_are_no_other_outputs(upload: Upload) -> None:
    with pytest.raises(NotFound, match="there are: alto"):
        status.output_of(upload.store, upload.delivery, "../secrets")
