"""Uploads over the web on every kind of store: who put them and who finds them speak of the same delivery."""

from __future__ import annotations

import httpx
import pytest

from inktally import keys
from inktally.delivery import Delivery, Outcome, Upload
from inktally.intake import status
from inktally.intake.web import new_id, receive
from inktally.ports import Store, TakesPosts
from inktally.settings import Settings
from inktally.steps import deliveries, markers
from inktally.steps.choices import UploadOptions

SETTINGS = Settings(_env_file=None)
PNG = b"\x89PNG and so on"
NAME = 'Größe 字 "1"+%20&= 🦉.png'


def upload_of(delivery: Delivery) -> str:
    """The id of an upload over the web."""
    return keys.web_upload_of(delivery.picture.key)


def test_whoever_waits_for_an_upload_looks_at_the_marker_that_a_run_writes(store: Store) -> None:
    received = receive(store, PNG, SETTINGS, name=NAME)
    found = deliveries.look(store, Upload(key=received.picture.key, store=store.uri))
    assert found.id == received.id == status.delivery_of(store, upload_of(received)).id
    assert not markers.is_answered(store, received)
    markers.mark_answered(store, found, Outcome(upload="", words=3))
    assert markers.is_answered(store, received)


def test_names_wishes_and_stages_come_through_and_outlive_the_picture(store: Store) -> None:
    wishes = UploadOptions(outputs="pdf", min_confidence=50, body_only=True)
    received = receive(store, PNG, SETTINGS, name=NAME, email="anna@example.org", language="deu", wishes=wishes)
    found = deliveries.look(store, received.upload)
    assert UploadOptions.of(found.picture.metadata) == wishes
    assert found.picture.metadata.items() >= {"email": "anna@example.org", "language": "deu"}.items()
    status.take_up(store, found, SETTINGS)
    status.note(store, found, "recognising")
    store.remove(found.picture.key)
    markers.mark_answered(store, found, Outcome(upload="", words=3))
    told = status.status_of(store, upload_of(received), SETTINGS)
    assert (told.name, told.state, told.words, told.picture) == (NAME, "answered", 3, "deleted")


def test_a_form_of_the_store_that_is_sent_again_is_still_one_delivery(store: Store) -> None:
    if not isinstance(store, TakesPosts):
        pytest.skip("a folder takes no forms")
    upload_id = new_id()
    key = keys.from_web(upload_id, "a.png")
    form = store.post_form(key, metadata={}, content_type="image/png", max_bytes=1000, seconds=60)
    found = []
    for content in (PNG, PNG + b"!"):
        sent = httpx.post(form.url, data=dict(form.fields), files={"file": ("picture", content)})
        assert sent.is_success
        found.append(deliveries.look(store, Upload(key=key, store=store.uri)))
        status.take_up(store, found[-1], SETTINGS)
        if len(found) == 1:
            markers.mark_answered(store, found[0], Outcome(upload="", words=3))
    refused = markers.outcome_of(store, found[1])
    assert refused is not None
    assert refused.error is not None
    assert status.status_of(store, upload_id, SETTINGS).words == 3
