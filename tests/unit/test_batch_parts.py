"""What goes through a batch: files for the count and from it, shares of the work, a round written down, the plan."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from inktally import keys
from inktally.batch import handover, rounds
from inktally.batch.handover import Handed, PartsWriter
from inktally.batch.looking import Looked
from inktally.batch.part import Pace, Part
from inktally.batch.place import Place
from inktally.batch.plan import Plan, Planner
from inktally.batch.progress import BatchProgress
from inktally.batch.rounds import Round, Share, Tally
from inktally.batch.summary import write_report
from inktally.delivery import Options, Problem
from inktally.document import CountedWord, Token, WordCounts, sha256_of
from inktally.errors import NotFound, StoreDown
from tests.support.entries import READ_BY, a_delivery, a_picture, a_receipt, an_entry
from tests.support.memory_store import MemoryStore

PLACE = Place(store="s3://memory", source="s3://memory", prefix="input/")


def tokens(*words: str) -> list[Token]:
    return [Token(text=word, confidence=90.126, words=(0,)) for word in words]


def rows(store: MemoryStore, keys_of_files: tuple[str, ...]) -> list[dict[str, object]]:
    return [row for key in keys_of_files for row in parquet.ParquetFile(BytesIO(store.read(key))).read().to_pylist()]


def put_table(store: MemoryStore, key: str, **columns: list[object]) -> None:
    file = BytesIO()
    parquet.write_table(pa.table(columns), file)
    store.put(key, file.getvalue())


def test_pictures_come_back_by_document_and_those_that_cannot_be_read_first() -> None:
    store = MemoryStore()
    writer = PartsWriter(store, "batches/x/")
    bad = an_entry(9).model_copy(update={"receipt": None, "problem": Problem(kind="NotAPicture", message="No.")})
    entries = [an_entry(1), an_entry(2), bad, an_entry(3, content=1)]
    writer.write(entries, [(a_receipt(1), tokens("One", "word")), (a_receipt(2), [])])
    (pictures,) = writer.handed.pictures
    assert list(handover.entries_by_document(store, pictures)) == [[bad], [entries[0], entries[3]], [entries[1]]]
    found = [entry.receipt is not None and entry.receipt.is_found_by(entry.delivery) for entry in entries]
    assert found == [False, False, False, True]
    document = f"{1:064x}/{READ_BY.fingerprint}/{sha256_of(pictures)[:16]}"
    assert rows(store, writer.handed.tokens) == [
        {"document": document, "word": "One", "confidence": 9013},
        {"document": document, "word": "word", "confidence": 9013},
    ]


def test_a_write_that_failed_is_repeated_without_a_trace() -> None:
    store = MemoryStore(failures={"batches/x/pictures/": 1})
    writer = PartsWriter(store, "batches/x/")
    for _ in range(2):
        try:
            writer.write([an_entry(1)], [(a_receipt(1), tokens("word"))])
        except StoreDown:
            assert writer.handed == Handed()
    assert len(rows(store, writer.handed.tokens)) == len(rows(store, writer.handed.pictures)) == 1
    writer.write([an_entry(2)], [(a_receipt(2), tokens("word"))])
    assert len(set(writer.handed.pictures)) == len(set(writer.handed.tokens)) == 2


def test_many_tokens_go_into_several_files_and_a_document_into_one() -> None:
    store = MemoryStore()
    writer = PartsWriter(store, "batches/x/")
    most = handover.MOST_TOKENS
    writer.write(
        [an_entry(1), an_entry(2), an_entry(3)],
        [(a_receipt(1), tokens("a") * (most + 1)), (a_receipt(2), tokens("b")), (a_receipt(3), tokens("c"))],
    )
    sizes = [parquet.read_metadata(BytesIO(store.read(key))).num_rows for key in writer.handed.tokens]
    assert sizes == [most + 1, 2]


def test_counts_are_read_document_by_document_and_totals_in_order(tmp_path: Path) -> None:
    store = MemoryStore()
    first, second = (f"{n:064x}/{'f' * 16}/{'0' * 16}" for n in (1, 2))
    put_table(
        store,
        "c/counts/1.parquet",
        document=[first, first, second],
        word=["b", "a", "b"],
        count=[2, 1, 3],
        confidence=[18000, 9512, 3],
    )
    put_table(store, "c/totals/1.parquet", word=["b"], count=[5], documents=[2])
    put_table(store, "c/totals/2.parquet", word=["a"], count=[1], documents=[1])
    store.put("c/totals/_SUCCESS", b"")
    counted = list(handover.counted_documents(store, "c/counts/", tmp_path))
    words = (CountedWord(word="b", count=2, confidence=90.0), CountedWord(word="a", count=1, confidence=95.12))
    assert counted[0] == (f"{1:064x}", "f" * 16, WordCounts(words=words))
    assert [content for content, _, _ in counted] == [f"{1:064x}", f"{2:064x}"]
    assert [
        (each.word, each.count, each.documents)
        for each in handover.totals(store, handover.sorted_keys(store, "c/totals/"), tmp_path)
    ] == [
        ("b", 5, 2),
        ("a", 1, 1),
    ]


def test_every_picture_is_in_exactly_one_part_and_one_content_in_one() -> None:
    pictures = [a_picture(number, etag=f"etag of {number % 100}") for number in range(400)]
    shares = [Part(number=number, shares=4) for number in range(4)]
    holders = [[part.number for part in shares if part.holds(picture)] for picture in pictures]
    assert {len(each) for each in holders} == {1}
    assert holders[:100] == holders[100:200] == holders[300:]
    assert min(Counter(each[0] for each in holders).values()) > 40


def test_the_rate_is_that_of_all_parts_together() -> None:
    assert Part(rate=4.0).pause == 0.25
    assert Part(shares=3, rate=4.0).pause == 0.75
    assert Part(shares=3).pause == 0


def test_turns_are_apart_whoever_takes_them_and_none_is_saved_up() -> None:
    pace, begun = Pace(0.04), list[float]()

    def take(_: int) -> None:
        pace.wait()
        begun.append(time.monotonic())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
        time.sleep(0.15)
        list(pool.map(take, range(4, 8)))
    begun.sort()
    assert begun[3] - begun[0] >= 0.1
    assert begun[7] - begun[4] >= 0.1


def test_without_a_rate_nobody_waits_for_a_turn() -> None:
    pace, begun = Pace(0), time.monotonic()
    for _ in range(1000):
        pace.wait()
    assert time.monotonic() - begun < 1


def test_a_report_whose_words_have_gone_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    store, share = MemoryStore(), Share(tally=Tally(answered=1, words=5))
    with pytest.raises(NotFound, match=r"c/totals/1\.parquet"):
        write_report(store, PLACE, ["c/totals/1.parquet"], share, tmp_path)


def test_the_plan_tells_new_pictures_from_duplicates_and_says_what_they_cost() -> None:
    def looked(number: int, content: int = 0, **found: object) -> Looked:
        picture = a_picture(number, etag=f"{content or number:032x}")
        needs = {"delivery": a_delivery(picture), "engine": READ_BY, "identity": picture.key}
        needs = None if {"state", "problem"} & found.keys() else needs
        if "receipt" in found and needs:
            needs["receipt"] = found.pop("receipt")
        return Looked.model_validate({"picture": picture, "delivery": a_delivery(picture), "needs": needs, **found})

    planner = Planner(readers=2, dollars_a_page=0.5)
    for each in (
        looked(1),
        looked(2),
        looked(3, content=1),
        looked(4, receipt=a_receipt(4)),
        looked(5, problem=Problem(kind="TooLarge", message="Too large.")),
        looked(6, state="answered"),
        looked(7, state="at work"),
        looked(8, state="gone"),
        looked(9, content=2),
    ):
        planner.add(each)
    assert planner.plan() == Plan(
        pictures=9,
        answered_before=1,
        left_to_others=2,
        rejected=1,
        known=1,
        duplicates=2,
        new=2,
        bytes=14,
        seconds=2.0,
        dollars=1.0,
    )
    assert Planner(readers=2, dollars_a_page=0.0).plan() == Plan()


def test_progress_is_told_with_rate_and_time_to_go(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "inktally.progress"):
        progress = BatchProgress(range(1200))
        end = time.monotonic() + 10
        while progress.total is None and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.05)
        for done in (600, 700, 800):
            progress.tell("recognising", done, skipped=done)
    (told,) = caplog.messages
    assert told == "recognising: 600 of 1,200 pictures, 0.0 a second"


def test_a_listing_that_fails_leaves_progress_without_a_total(caplog: pytest.LogCaptureFixture) -> None:
    def listing() -> Iterator[object]:
        yield 1
        raise StoreDown("The store is down.")

    with caplog.at_level(logging.INFO, "inktally.progress"):
        progress = BatchProgress(listing())
        time.sleep(0.05)
        progress.tell("recognising", 30)
    assert progress.total is None
    assert caplog.messages[0].endswith("The store is down.")
    assert caplog.messages[1].startswith("recognising: 30 pictures, ")


def test_a_round_is_remembered_until_it_is_cleared_and_goes_before_its_files() -> None:
    class Recording(MemoryStore):
        def remove(self, key: str) -> None:
            removed.append(key)
            super().remove(key)

    removed: list[str] = []
    store = Recording()
    assert rounds.counted_round(store, PLACE) is None
    share = Share(handed=Handed(pictures=("p",)), tally=Tally(recognised=1))
    counted = Round(attempt="0", options=Options(language="eng"), share=share)
    store.put(f"{rounds.attempt_prefix(PLACE, '0')}pictures/000000.parquet", b"")
    rounds.keep(store, PLACE, counted)
    assert rounds.counted_round(store, PLACE) == counted
    rounds.clear(store, PLACE)
    assert removed[0] == f"{keys.batch(PLACE.name)}{rounds.COUNTED}"
    assert list(store.list("")) == []


def test_a_round_that_cannot_be_understood_is_none() -> None:
    store = MemoryStore()
    store.put(f"{keys.batch(PLACE.name)}{rounds.COUNTED}", b'{"attempt": 1}')
    assert rounds.counted_round(store, PLACE) is None


def test_shares_add_up_and_name_no_more_failures_than_people_read() -> None:
    failure = rounds.Failure(picture="a.png", problem=Problem(kind="StoreDown", message="Down."))
    share = Share(handed=Handed(tokens=("t",)), tally=Tally(recognised=1, words=2), failures=(failure,) * 600)
    both = share + share
    assert (both.handed.tokens, both.tally) == (("t", "t"), Tally(recognised=2, words=4))
    assert len(both.failures) == rounds.MOST_FAILURES
