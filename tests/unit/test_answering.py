"""The steps after publishing: mail, disposal and the answer, each once, whatever fails between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inktally import keys
from inktally.delivery import Outcome, Problem, Upload
from inktally.errors import MailRefused, NotFound, Overwritten
from inktally.intake.local import bring
from inktally.outputs import NAMES
from inktally.outputs.shared.registry import OUTPUTS
from inktally.steps import announcing, deliveries, disposing, markers
from tests.support.desks import Desk


def test_one_delivery_is_mailed_once(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one", email="anna@example.org")
    assert [desk.announce(delivery), desk.announce(delivery)] == ["anna@example.org"] * 2
    assert [mail["To"] for mail in desk.notifier.mails] == ["anna@example.org"]


def test_the_same_bytes_sent_again_are_mailed_again(desk: Desk) -> None:
    desk.announce(desk.deliver("input/a.png", "one", email="anna@example.org"))
    desk.announce(desk.deliver("input/a.png", "one", email="anna@example.org"))
    first, second = desk.notifier.mails
    assert first["Message-ID"] != second["Message-ID"]


def test_a_mail_lost_before_its_marker_is_sent_again_with_the_same_message_id(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one", email="anna@example.org")
    desk.announce(delivery)
    desk.store.remove(keys.marker(delivery.id, "mailed"))
    desk.announce(delivery)
    first, second = desk.notifier.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_a_mail_that_was_not_taken_leaves_no_marker(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one", email="anna@example.org")
    desk.notifier.refuses = True
    with pytest.raises(MailRefused):
        desk.announce(delivery)
    desk.notifier.refuses = False
    desk.announce(delivery)
    assert len(desk.notifier.mails) == 1


def test_without_an_address_nobody_is_mailed(desk: Desk) -> None:
    assert desk.announce(desk.deliver("input/a.png", "one")) is None
    assert desk.notifier.mails == []


def test_an_address_set_for_a_delivery_wins_over_the_objects(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one", email="anna@example.org")
    announcing.set_recipient(desk.store, delivery, "ben@example.org")
    assert desk.announce(delivery) == "ben@example.org"


def test_that_it_takes_longer_is_told_once_and_never_after_the_counts(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one", email="anna@example.org")
    for _ in range(2):
        announcing.announce_delay(desk.store, desk.notifier, delivery, desk.settings)
    assert len(desk.notifier.mails) == 1
    other = desk.deliver("input/b.png", "two", email="anna@example.org")
    desk.announce(other)
    announcing.announce_delay(desk.store, desk.notifier, other, desk.settings)
    assert len(desk.notifier.mails) == 2


def test_a_picture_is_deleted_or_archived_when_all_outputs_are_there(desk: Desk) -> None:
    deleted, archived = desk.deliver("input/a.png", "one"), desk.deliver("input/b.png", "two")
    disposing.dispose(desk.store, deleted, desk.publish(deleted), "delete", desk.settings)
    disposing.dispose(desk.store, archived, desk.publish(archived), "archive", desk.settings)
    assert desk.keys("input/") == []
    assert desk.store.read("archive/b.png") == b"two"


def test_a_picture_whose_output_is_missing_is_not_deleted(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    outputs = desk.publish(delivery)
    desk.store.remove(keys.word_counts("a.png"))
    with pytest.raises(NotFound):
        disposing.dispose(desk.store, delivery, outputs, "delete", desk.settings)
    assert desk.keys("input/") == ["input/a.png"]


@pytest.mark.parametrize("missing", NAMES)
def test_before_a_picture_goes_exactly_the_outputs_asked_for_must_be_there(desk: Desk, missing: str) -> None:
    delivery = desk.deliver("input/a.png", "one")
    outputs = desk.publish(delivery, ",".join(NAMES))
    desk.store.remove(OUTPUTS[missing].key("a.png"))
    with pytest.raises(NotFound):
        disposing.dispose(desk.store, delivery, outputs, "delete", desk.settings)
    del outputs[missing]
    disposing.dispose(desk.store, delivery, outputs, "delete", desk.settings)
    assert desk.keys("input/") == []


def test_a_newer_picture_under_the_same_key_is_never_deleted(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "old")
    outputs = desk.publish(delivery)
    desk.deliver("input/a.png", "new")
    disposing.dispose(desk.store, delivery, outputs, "delete", desk.settings)
    assert desk.store.read("input/a.png") == b"new"


def test_a_rejected_picture_moves_to_failed_with_its_reason(desk: Desk) -> None:
    delivery = desk.deliver("input/book/a.png", "junk")
    disposing.reject(desk.store, delivery, Problem(kind="NotAPicture", message="It is none."))
    assert desk.keys("input/") == []
    assert desk.store.read("failed/book/a.png") == b"junk"
    assert json.loads(desk.store.read("failed/book/a.png.reason.json"))["kind"] == "NotAPicture"


def test_a_rejected_picture_outside_input_stays_where_it_is(desk: Desk) -> None:
    delivery = desk.deliver("scans/a.png", "junk")
    disposing.reject(desk.store, delivery, Problem(kind="NotAPicture", message="It is none."))
    assert desk.store.read("scans/a.png") == desk.store.read("failed/scans/a.png") == b"junk"


def test_no_archived_and_no_failed_picture_is_overwritten_by_another_of_its_name(desk: Desk) -> None:
    for text in ("one", "two"):
        delivery = desk.deliver("input/a.png", text)
        disposing.dispose(desk.store, delivery, desk.publish(delivery), "archive", desk.settings)
        disposing.reject(desk.store, desk.deliver("input/b.png", text), Problem(kind="NotAPicture", message="None."))
    for prefix in ("archive/", "failed/"):
        kept = [desk.store.read(key) for key in desk.keys(prefix) if not key.endswith(keys.REASON)]
        assert sorted(kept) == [b"one", b"two"]


def test_a_local_picture_never_takes_the_place_of_one_that_waits(desk: Desk, tmp_path: Path) -> None:
    waiting = desk.deliver("input/a.png", "of Anna")
    (tmp_path / "a.png").write_text("of Ben")
    upload = bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings)
    assert upload.key != "input/a.png"
    assert desk.store.read("input/a.png") == b"of Anna"
    markers.mark_answered(desk.store, waiting, Outcome(upload="a"))
    assert bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings).key == "input/a.png"


def test_a_picture_sent_again_before_its_answer_is_the_same_delivery(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("one")
    first, again = (bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings) for _ in range(2))
    assert deliveries.look(desk.store, first).id == deliveries.look(desk.store, again).id
    markers.mark_answered(desk.store, deliveries.look(desk.store, again), Outcome(upload="a"))
    later = bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings)
    assert deliveries.look(desk.store, later).id != deliveries.look(desk.store, first).id


def test_a_picture_sent_again_while_it_is_read_is_a_delivery_of_its_own(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("one")
    first = deliveries.look(desk.store, bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings))
    desk.store.put(keys.marker(first.id, "claim"), b"a run")
    during = bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings)
    desk.store.now += desk.settings.lease_seconds + 1
    after_its_death = bring(desk.store, tmp_path / "a.png", "input/a.png", desk.settings)
    assert deliveries.look(desk.store, during).id != first.id
    assert deliveries.look(desk.store, after_its_death).id == first.id


def test_an_answer_of_another_release_is_an_answer(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    for marker in (b'{"upload": "a", "of_the_future": 1}', b"{}"):
        desk.store.put(keys.marker(delivery.id, "answered"), marker)
        assert markers.outcome_of(desk.store, delivery) is not None


def test_a_delivery_is_the_same_however_its_store_is_spelled(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    elsewhere = delivery.upload.model_copy(update={"store": "another spelling"})
    assert delivery.model_copy(update={"upload": elsewhere}).id == delivery.id


def test_the_first_answer_stands(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    assert markers.outcome_of(desk.store, delivery) is None
    markers.mark_answered(desk.store, delivery, Outcome(upload="a", words=1))
    markers.mark_answered(desk.store, delivery, Outcome(upload="a", words=2))
    found = markers.outcome_of(desk.store, delivery)
    assert found is not None
    assert found.words == 1


def test_a_picture_of_which_another_etag_was_announced_is_not_taken_for_it(desk: Desk) -> None:
    desk.deliver("input/a.png", "new")
    with pytest.raises(Overwritten):
        deliveries.look(desk.store, Upload(key="input/a.png", store=desk.store.uri, etag="of-the-old-one"))
