"""The steps of a delivery, each repeated, raced and cut short."""

from __future__ import annotations

import json

import pytest

from inktally import keys
from inktally.errors import EmptyPicture, OutputFailed, Overwritten, TooLarge
from inktally.outputs import NAMES
from inktally.outputs.shared.registry import OUTPUTS
from inktally.settings import read_settings
from inktally.steps import counting
from tests.support.desks import (
    COUNTING,
    Desk,
)


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
