"""The steps of a delivery, each repeated, raced and cut short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inktally import keys
from inktally.delivery import Outcome, Problem, Upload
from inktally.errors import EmptyPicture, MailRefused, NotFound, OutputFailed, Overwritten, TooLarge
from inktally.intake.local import bring
from inktally.outputs import NAMES
from inktally.outputs.registry import OUTPUTS
from inktally.settings import read_settings
from inktally.steps import announcing, counting, deliveries, disposing, markers
from tests.support.desk import COUNTING, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(read_settings(scratch=tmp_path))


def test_the_same_bytes_under_two_names_are_read_once(desk: Desk) -> None:
    first = desk.recognise(desk.deliver("input/a.png", "one two"))
    second = desk.recognise(desk.deliver("input/b.png", "one two"))
    assert desk.recogniser.read == ["one two"]
    assert first.artefact == second.artefact
    assert (first.made_for != "", second.made_for) == (True, "")


def test_a_store_that_fails_for_a_moment_costs_no_second_reading(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one two")
    desk.store.failures["recognitions/"] = 1
    assert desk.keys(desk.recognise(delivery).artefact)
    assert (desk.recogniser.read, desk.store.failures["recognitions/"]) == (["one two"], 0)


def test_nor_a_second_mail(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one two", email="anna@example.org")
    desk.store.failures["state/"] = 1
    desk.announce(delivery)
    assert desk.keys(keys.marker(delivery.id, "mailed"))
    assert (len(desk.notifier.mails), desk.store.failures["state/"]) == (1, 0)


def test_an_overwritten_picture_is_read_again(desk: Desk) -> None:
    desk.recognise(desk.deliver("input/a.png", "one"))
    desk.recognise(desk.deliver("input/a.png", "two"))
    assert desk.recogniser.read == ["one", "two"]


def test_a_refresh_reads_again(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    desk.recognise(delivery)
    desk.recognise(delivery, refresh=True)
    assert desk.recogniser.read == ["one", "one"]


def test_what_is_read_again_is_counted_again(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    desk.publish(delivery)
    receipt = desk.recognise(delivery, refresh=True)
    counting.count(desk.store, desk.counter, [receipt], COUNTING)
    assert len(desk.counter.jobs) == 2


def test_a_recognition_that_is_damaged_is_made_again(desk: Desk) -> None:
    receipt = desk.recognise(desk.deliver("input/a.png", "one"))
    desk.store.put(receipt.artefact, b'{"half a')
    desk.recognise(desk.deliver("input/b.png", "one"))
    assert desk.recogniser.read == ["one", "one"]


def test_a_picture_that_was_replaced_while_it_waited_is_not_read(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "old")
    desk.deliver("input/a.png", "new")
    with pytest.raises(Overwritten):
        desk.recognise(delivery)


def test_an_empty_and_a_too_large_file_are_refused_before_they_are_fetched(desk: Desk) -> None:
    with pytest.raises(EmptyPicture):
        desk.recognise(desk.deliver("input/a.png", ""))
    small = Desk(read_settings(scratch=desk.settings.scratch, max_bytes=3))
    with pytest.raises(TooLarge, match="4 bytes"):
        small.recognise(small.deliver("input/a.png", "four"))


def test_several_pictures_are_counted_in_one_job_and_known_ones_in_none(desk: Desk) -> None:
    receipts = [desk.recognise(desk.deliver(f"input/{n}.png", f"word {n}")) for n in range(3)]
    counting.count(desk.store, desk.counter, receipts, COUNTING)
    counting.count(desk.store, desk.counter, receipts, COUNTING)
    assert [len(job) for job in desk.counter.jobs] == [3]


def test_the_outputs_stand_under_the_pictures_name(desk: Desk) -> None:
    outputs = desk.publish(desk.deliver("input/book/12.png", "The owl, the OWL"))
    assert desk.keys("output/") == [
        "output/ocr_coords/book/12.png.json",
        "output/ocr_coords/book/12.png.txt",
        "output/ocr_plain_text/book/12.png.txt",
        "output/word_counts/book/12.png.json",
    ]
    assert sorted(outputs) == ["coordinates_json", "coordinates_text", "plain_text", "word_counts"]
    counts = json.loads(desk.store.read("output/word_counts/book/12.png.json"))
    assert [(entry["word"], entry["count"]) for entry in counts["words"]] == [("owl", 2), ("the", 2)]
    assert desk.store.read("output/ocr_plain_text/book/12.png.txt") == b"The owl, the OWL"


def test_exactly_the_outputs_that_are_asked_for_are_written(desk: Desk) -> None:
    outputs = desk.publish(desk.deliver("input/book/12.png", "The owl"), "pdf,word_counts_csv,hocr,alto")
    assert outputs == {name: f"{desk.store.uri}/{OUTPUTS[name].key('book/12.png')}" for name in outputs}
    assert desk.keys("output/") == [
        "output/ocr_alto/book/12.png.xml",
        "output/ocr_hocr/book/12.png.hocr",
        "output/ocr_pdf/book/12.png.pdf",
        "output/word_counts/book/12.png.csv",
    ]
    assert desk.store.read("output/ocr_pdf/book/12.png.pdf") == b"The owl|The owl"


@pytest.mark.parametrize("name", NAMES)
def test_a_known_picture_gets_an_output_it_did_not_have_without_being_read_again(desk: Desk, name: str) -> None:
    first = desk.deliver("input/a.png", "one")
    desk.publish(first, "plain_text" if name != "plain_text" else "hocr")
    again = desk.deliver("input/a.png", "one")
    assert list(desk.publish(again, name)) == [name]
    assert (desk.recogniser.read, len(desk.counter.jobs)) == (["one"], 1)


def test_a_picture_that_goes_while_its_pdf_is_made_leaves_no_output(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    receipt = desk.recognise(delivery)
    counting.count(desk.store, desk.counter, [receipt], COUNTING)
    desk.store.remove("input/a.png")
    assert desk.publish_read(delivery, receipt, "plain_text,pdf") == {}
    assert desk.keys("output/") == []
    assert list(desk.publish_read(delivery, receipt, "plain_text")) == ["plain_text"]


def test_a_pdf_that_cannot_be_made_is_an_error_that_leaves_the_picture_where_it_is(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one")
    desk.pdf_writer.error = OutputFailed("No searchable PDF could be made.")
    with pytest.raises(OutputFailed):
        desk.publish(delivery, "plain_text,pdf")
    assert desk.keys("output/") == []
    assert desk.keys("input/") == ["input/a.png"]


def test_publishing_twice_gives_the_same_bytes(desk: Desk) -> None:
    delivery = desk.deliver("input/a.png", "one two")
    desk.publish(delivery)
    before = {key: desk.store.read(key) for key in desk.keys("output/")}
    desk.publish(delivery)
    assert {key: desk.store.read(key) for key in desk.keys("output/")} == before


def test_a_late_old_picture_leaves_the_outputs_of_the_newer_one(desk: Desk) -> None:
    old = desk.deliver("input/a.png", "old")
    receipt = desk.recognise(old)
    counting.count(desk.store, desk.counter, [receipt], COUNTING)
    desk.publish(desk.deliver("input/a.png", "new"))
    assert desk.publish_read(old, receipt) == desk.publish_read(old, receipt, "hocr,pdf") == {}
    assert desk.store.read("output/ocr_plain_text/a.png.txt") == b"new"


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
