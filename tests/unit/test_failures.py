"""Failed pictures: listed with their reasons, and sent on their way again."""

import pytest

from inktally.delivery import Problem, Upload
from inktally.errors import NotFound
from inktally.intake.redriving import failures, put_back, redrive
from inktally.steps import deliveries, disposing, markers
from tests.support.memory_store import MemoryStore


def rejected(store: MemoryStore, key: str, **metadata: str) -> None:
    store.put(key, b"junk", metadata=metadata)
    delivery = deliveries.look(store, Upload(key=key, store=store.uri))
    disposing.reject(store, delivery, Problem(kind="NotAPicture", message=f"{key} is none."))


def test_failed_pictures_are_listed_with_their_reasons() -> None:
    store = MemoryStore()
    rejected(store, "input/a.png")
    rejected(store, "input/book/b.png")
    listed = [(failure.picture.key, failure.problem.message) for failure in failures(store)]
    assert listed == [("failed/a.png", "input/a.png is none."), ("failed/book/b.png", "input/book/b.png is none.")]
    assert [failure.picture.key for failure in failures(store, "failed/book/")] == ["failed/book/b.png"]


def test_a_failed_picture_without_its_reason_is_listed_all_the_same() -> None:
    store = MemoryStore()
    store.put("failed/a.png", b"junk")
    (failure,) = failures(store)
    assert failure.problem.kind == "Unknown"


def test_a_redriven_picture_stands_under_input_again_with_its_address() -> None:
    store = MemoryStore()
    rejected(store, "input/book/b.png", email="anna@example.org")
    (failure,) = failures(store)
    upload = redrive(store, failure)
    assert upload.key == "input/book/b.png"
    delivery = deliveries.look(store, upload)
    assert delivery.picture.metadata == {"email": "anna@example.org"}
    assert markers.outcome_of(store, delivery) is None
    assert list(store.list("failed/")) == []


def test_the_beginning_of_keys_sends_all_those_pictures_again_and_no_others() -> None:
    store = MemoryStore()
    for key in ("input/book/a.png", "input/book/b.png", "input/c.png"):
        rejected(store, key)
    assert {upload.key for upload in put_back(store, "failed/book/")} == {"input/book/a.png", "input/book/b.png"}
    assert [failure.picture.key for failure in failures(store)] == ["failed/c.png"]


@pytest.mark.parametrize("key", ["failed/a.png", "input/a.png", ""])
def test_a_key_that_names_no_failed_picture_is_told(key: str) -> None:
    store = MemoryStore()
    store.put("input/a.png", b"a picture that has not failed")
    with pytest.raises(NotFound, match="lists those that failed"):
        put_back(store, key)
