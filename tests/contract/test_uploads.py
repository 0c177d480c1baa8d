"""Uploads over the web on every kind of store: who put them and who finds them speak of the same delivery."""

from __future__ import annotations

from inktally import intake, status, steps
from inktally.document import Outcome, Upload
from inktally.ports import Store
from inktally.settings import Settings
from inktally.wishes import Wishes

SETTINGS = Settings(_env_file=None)
PNG = b"\x89PNG and so on"
NAME = 'Größe 字 "1"+%20&= 🦉.png'


def test_whoever_waits_for_an_upload_looks_at_the_marker_that_a_run_writes(store: Store) -> None:
    received = intake.receive(store, PNG, SETTINGS, name=NAME)
    found = steps.look(store, Upload(key=received.upload.key, store=store.uri))
    assert found.id == received.delivery.id == status.delivery_of(store, received.id).id
    assert not steps.is_answered(store, received.delivery)
    steps.answer(store, found, Outcome(upload="", words=3))
    assert steps.is_answered(store, received.delivery)


def test_names_wishes_and_stages_come_through_and_outlive_the_picture(store: Store) -> None:
    wishes = Wishes(outputs="pdf", min_confidence=50, body_only=True)
    received = intake.receive(store, PNG, SETTINGS, name=NAME, email="anna@example.org", language="deu", wishes=wishes)
    found = steps.look(store, received.upload)
    assert Wishes.of(found.picture.metadata) == wishes
    assert found.picture.metadata.items() >= {"email": "anna@example.org", "language": "deu"}.items()
    status.take_up(store, found)
    status.note(store, found, "recognising")
    store.remove(found.picture.key)
    steps.answer(store, found, Outcome(upload="", words=3))
    told = status.status_of(store, received.id, SETTINGS)
    assert (told.name, told.state, told.words, told.picture) == (NAME, "answered", 3, "deleted")
