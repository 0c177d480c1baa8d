"""Messages of every sender become the uploads they announce."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from inktally.delivery import Upload
from inktally.errors import BadEvent
from inktally.intake import events
from inktally.intake.events import Announced, Arrival, LeftOut
from tests.support import messages
from tests.support.messages import Message

ODD_KEY = "input/Grüße an + 100%25/\N{DUCK} & <Co>.png"
SENDERS = [messages.s3, messages.ceph, messages.minio, messages.eventbridge]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def only(message: Message) -> Arrival:
    told = events.announced(message)
    assert told.left_out == ()
    (arrival,) = told.arrivals
    return arrival


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("key", ["input/page.png", ODD_KEY, "input/a+b c.jpeg", "input/deep/er/%2B.TIFF"])
def test_a_key_is_decoded_as_its_sender_wrote_it(sender: Any, key: str) -> None:
    assert only(sender(key)).upload == Upload(key=key, store="s3://letters")


def test_a_key_is_decoded_only_once() -> None:
    record = messages.s3_record("input/100%2525.png", urlDecodedKey="input/100%25.png")
    assert only({"Records": [record]}).upload.key == "input/100%25.png"
    assert only(messages.ceph("input/100%2525+.png")).upload.key == "input/100%2525+.png"


@pytest.mark.parametrize(
    "wrap",
    [
        messages.sqs,
        messages.sns_records,
        lambda body: {"Type": "Notification", "Message": json.dumps(body)},
        lambda body: messages.sqs({"Type": "Notification", "Message": json.dumps(body)}),
    ],
)
@pytest.mark.parametrize("sender", SENDERS)
def test_a_message_within_a_message_is_the_same_arrival(wrap: Any, sender: Any) -> None:
    assert only(wrap(sender(ODD_KEY))) == only(sender(ODD_KEY))


def test_the_version_is_kept_where_the_store_keeps_versions() -> None:
    minio_version = "0a1b2c3d-4e5f-4a6b-8c7d-8e9f0a1b2c3d"
    assert only(messages.s3(versionId="yd3d4HaWOT2zguDL")).upload.version == "yd3d4HaWOT2zguDL"
    assert only(messages.eventbridge(**{"version-id": "v.1"})).upload.version == "v.1"
    assert only(messages.ceph(versionId="qJ2ZpZ7")).upload.version == "qJ2ZpZ7"
    assert only(messages.minio(versionId=minio_version)).upload.version == minio_version
    assert only(messages.minio(versionId="1")).upload.version == ""
    assert only(messages.s3(versionId="null")).upload.version == ""


def test_an_upload_bears_no_etag_since_an_event_only_says_look_now() -> None:
    arrival = only(messages.ceph(etag='"abc-2"'))
    assert (arrival.upload.etag, arrival.etag) == ("", "abc-2")


def test_one_put_is_one_arrival_whoever_tells_of_it() -> None:
    told = {only(sender()).id for sender in SENDERS}
    assert len(told) == 1
    assert len(events.announced({"Records": messages.s3()["Records"] * 3}).arrivals) == 1


def test_the_same_bytes_put_again_are_another_arrival() -> None:
    puts = [
        messages.s3(),
        messages.s3(sequencer="0064A1B2C3D4E5F608"),
        messages.s3("input/other.png"),
        messages.s3(bucket="other"),
        messages.s3(etag="f" * 32),
        messages.s3(versionId="v1"),
        messages.s3(versionId="v2"),
    ]
    assert len({only(put).id for put in puts}) == len(puts)


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        (messages.test_event(), LeftOut(reason="test message")),
        (messages.s3("output/page.png.txt"), LeftOut(reason="outside input", what="output/page.png.txt")),
        (messages.s3("archive/input/page.png"), LeftOut(reason="outside input", what="archive/input/page.png")),
        (messages.ceph("input/notes.txt"), LeftOut(reason="no picture", what="input/notes.txt")),
        (messages.s3("input/folder.png/"), LeftOut(reason="no picture", what="input/folder.png/")),
        (messages.s3(event="ObjectRemoved:Delete"), LeftOut(reason="not created", what="ObjectRemoved:Delete")),
        (messages.s3(event="s3:LifecycleTransition"), LeftOut(reason="not created", what="LifecycleTransition")),
        (messages.eventbridge(what="Object Deleted"), LeftOut(reason="not created", what="Object Deleted")),
    ],
)
def test_what_starts_no_run_is_left_out_with_its_reason(message: Message, left_out: LeftOut) -> None:
    assert events.announced(message) == Announced(left_out=(left_out,))


def test_an_empty_list_of_records_announces_nothing() -> None:
    assert events.announced({"Records": []}) == Announced()


def test_a_record_that_cannot_be_read_does_no_harm_to_others() -> None:
    good, bad = messages.s3_record(), messages.s3_record("input/%FF.png")
    told = events.announced({"Records": [bad, good, {"eventSource": "aws:ses"}]})
    assert [arrival.upload.key for arrival in told.arrivals] == ["input/page.png"]
    assert [each.reason for each in told.left_out] == ["unreadable", "unreadable"]
    assert not told.is_whole


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"Records": "none"},
        messages.s3_record(),
        messages.s3(bucket="../up"),
        {"Records": [messages.s3_record("input/%FF.png")]},
        messages.ceph("input/\ud800.png"),
        messages.ceph("input/" + "é" * 510 + ".png"),
        messages.ceph(""),
        messages.sqs("Hello"),
        messages.sqs({"greeting": "Hello"}),
        messages.sns_records("Hello"),
        messages.eventbridge() | {"detail": None},
    ],
)
def test_what_is_no_event_of_a_bucket_is_refused(message: Any) -> None:
    with pytest.raises(BadEvent):
        events.announced(message)


def test_messages_in_messages_come_to_an_end() -> None:
    message: Message = messages.s3()
    for _ in range(5):
        message = messages.sqs(message)
    with pytest.raises(BadEvent, match="too deeply"):
        events.announced(message)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe{}", b"{", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"nonsense"]
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadEvent):
        events.decoded(body)


@given(json_values)
def test_no_json_whatever_raises_anything_else(message: Any) -> None:
    for each in (message, {"Records": message}, {"Records": [message]}, {"Type": "Notification", "Message": message}):
        try:
            events.announced(each)
        except BadEvent as error:
            assert str(error)  # noqa: PT017 - either end is right, any other error is not


@given(st.sampled_from(SENDERS), st.data())
def test_no_change_of_a_field_raises_anything_else(sender: Any, data: st.DataObject) -> None:
    message = sender()
    _change_a_field(message, data)
    try:
        told = events.announced(message)
    except BadEvent:
        return
    for arrival in told.arrivals:
        assert arrival.upload.key.startswith("input/")
        assert Arrival.model_validate_json(arrival.model_dump_json()) == arrival


def _change_a_field(message: Any, data: st.DataObject) -> None:
    """Put something else in one place of a message, however deep."""
    here = message
    while True:
        place = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not here[place] or not isinstance(here[place], dict | list) or data.draw(st.booleans()):
            here[place] = data.draw(json_values)
            return
        here = here[place]


@given(st.text(min_size=1, max_size=200))
def test_any_key_of_unicode_comes_through_every_sender(name: str) -> None:
    key = f"input/{name}x.png"
    try:
        fits = len(key.encode()) <= 1024
    except UnicodeEncodeError:
        return
    for sender in SENDERS:
        assert not fits or only(sender(key)).upload.key == key
