"""What a delivery still needs: the same for a single upload and for a picture of a batch."""

from __future__ import annotations

import pytest

from inktally.batch.looking import look
from inktally.delivery import Delivery, Options, Outcome, Receipt, Upload
from inktally.document import Engine
from inktally.errors import BadResult, EmptyPicture
from inktally.settings import Settings
from inktally.steps import deliveries, markers
from inktally.steps.deliveries import Needs, find, recalled
from tests.support.entries import READ_BY as ENGINE, a_receipt
from tests.support.memory_store import MemoryStore

SETTINGS = Settings(_env_file=None)


class Reader:
    """A recogniser that is only asked what would read."""

    def identify(self, languages: tuple[str, ...]) -> Engine:
        return ENGINE.model_copy(update={"languages": languages})


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.put("input/new.png", b"new")
    made.put("input/old.png", b"old")
    markers.mark_answered(made, delivery_of(made, "old"), Outcome(upload="s3://memory/input/old.png", words=7))
    return made


def delivery_of(store: MemoryStore, name: str) -> Delivery:
    return deliveries.look(store, Upload(key=f"input/{name}.png"))


def test_what_was_processed_before_comes_with_its_outcome(store: MemoryStore) -> None:
    delivery, outcome = find(store, Upload(key="input/old.png"))
    assert (delivery.upload.attempt, outcome and outcome.words) == ("", 7)


def test_a_refresh_makes_a_new_delivery_only_of_what_was_processed_before(store: MemoryStore) -> None:
    old, outcome = find(store, Upload(key="input/old.png"), "again")
    new, none = find(store, Upload(key="input/new.png"), "again")
    assert (old.upload.attempt, outcome, new.upload.attempt, none) == ("again", None, "", None)
    assert new.id == delivery_of(store, "new").id
    markers.mark_answered(store, old, Outcome(upload="", words=8))
    again, second = find(store, Upload(key="input/old.png"), "again")
    assert (again, second and second.words) == (old, 8)


def test_a_batch_that_refreshes_leaves_to_another_run_what_that_has_claimed(store: MemoryStore) -> None:
    claimed = delivery_of(store, "new")
    store.put(f"state/{claimed.id}/claim", b"")
    picture = store.stat("input/new.png")
    looked = look(store, picture, Options(refresh=True), "again", Reader(), SETTINGS)  # type: ignore[arg-type]
    assert looked.state == "at work"


def test_an_empty_file_has_its_problem_before_anything_is_read(store: MemoryStore) -> None:
    picture = store.put("input/empty.png", b"")
    looked = look(store, picture, Options(), "", Reader(), SETTINGS)  # type: ignore[arg-type]
    assert (looked.state, looked.needs, looked.problem and looked.problem.kind) == ("open", None, EmptyPicture.__name__)


def test_a_cached_receipt_that_cannot_be_used_is_not_used(store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    delivery = delivery_of(store, "new")
    needs = Needs(delivery=delivery, engine=ENGINE, identity=delivery.picture.etag)

    def bad(_delivery: Delivery, _engine: Engine) -> Receipt | None:
        raise BadResult("It speaks of something else.")

    assert recalled(needs, lambda *_: None) == needs
    assert recalled(needs, lambda *_: a_receipt(1)).receipt == a_receipt(1)
    assert recalled(needs, bad) == needs
    assert "cannot be used" in caplog.text
