"""The corpus equals a recount, whatever became of documents; and what it tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest

from inktally import keys
from inktally.corpus import figures
from inktally.corpus.manifest import Corpus, consistently, publish, standing
from inktally.corpus.partition import merged
from inktally.corpus.plot import growth_svg
from inktally.corpus.reconciling import Changes, exclude, include, reconcile
from inktally.corpus.report import report
from inktally.errors import BadResult, Busy, NotFound
from inktally.settings import read_settings
from inktally.tokens import RULES
from tests.support.counted import Sums, put_counts, recounted
from tests.support.memory_store import MemoryStore

SETTINGS = read_settings(lease_seconds=30)
DAY = 86_400.0


def kept(store: MemoryStore) -> Sums:
    """As `recounted` tells it."""

    def look(corpus: Corpus) -> pa.Table:
        return merged(corpus.words(), ["day", "prefix", "word"])

    rows = consistently(store, look).to_pylist()
    return {(row["day"], row["prefix"], row["word"]): (row["total"], row["documents"]) for row in rows}


def parts(store: MemoryStore) -> set[str]:
    return {found.key for found in store.list(keys.CORPUS_PARTS)}


@pytest.fixture
def store() -> MemoryStore:
    """Three documents of one day, counted."""
    store = MemoryStore()
    put_counts(store, "a/1.png", {"the": 3, "cat": 1})
    put_counts(store, "a/2.png", {"the": 1, "dog": 5})
    put_counts(store, "b/3.png", {"the": 2})
    assert reconcile(store, SETTINGS) == Changes(added=3)
    return store


def test_a_document_that_has_gone_is_subtracted_exactly(store: MemoryStore) -> None:
    store.remove(keys.word_counts("a/2.png"))
    assert reconcile(store, SETTINGS) == Changes(removed=1)
    left = {(prefix, word): sums for (_, prefix, word), sums in kept(store).items()}
    assert left == {("a/", "the"): (3, 1), ("a/", "cat"): (1, 1), ("b/", "the"): (2, 1)}


def test_one_that_is_taken_out_stays_out_until_it_is_restored(store: MemoryStore) -> None:
    exclude(store, "a/1.png")
    assert reconcile(store, SETTINGS) == Changes(removed=1)
    put_counts(store, "a/1.png", {"the": 9})
    assert reconcile(store, SETTINGS) == reconcile(store, SETTINGS, recount=True) == Changes()
    assert kept(store) == recounted(store, "a/1.png")
    include(store, "a/1.png")
    assert reconcile(store, SETTINGS) == Changes(added=1)


def test_what_does_not_exist_cannot_be_taken_out(store: MemoryStore) -> None:
    with pytest.raises(NotFound):
        exclude(store, "a/9.png")


def test_the_same_counts_written_on_another_day_move_to_that_day(store: MemoryStore) -> None:
    store.now += DAY
    put_counts(store, "b/3.png", {"the": 2})
    assert reconcile(store, SETTINGS) == Changes(changed=1)
    assert kept(store) == recounted(store)
    assert len({day for day, _, _ in kept(store)}) == 2


def test_a_change_replaces_the_files_of_its_bucket_alone(store: MemoryStore) -> None:
    before = parts(store)
    put_counts(store, "a/1.png", {"other": 1})
    reconcile(store, SETTINGS)
    assert (len(before - parts(store)), len(parts(store) - before)) == (2, 2)


def test_nothing_is_written_where_nothing_changed(store: MemoryStore) -> None:
    before = standing(store)
    reconcile(store, SETTINGS)
    assert standing(store) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"schema": "inktally.word-counts/1", "words": [{"word": "a", "count": -1}]}',
        b'{"schema": "inktally.word-counts/1", "words": [{"word": "a", "count": 1e99}]}',
        b'{"schema": "inktally.word-counts/1", "words": [{"word": "\\ud800", "count": 1}]}',
        b'{"schema": "inktally.word-counts/2", "words": []}',
    ],
)
def test_what_is_no_count_of_ours_is_reported_and_counts_for_nothing(store: MemoryStore, content: bytes) -> None:
    store.put(keys.word_counts("bad.png"), content)
    changes = reconcile(store, SETTINGS)
    assert (changes.added, list(changes.unreadable)) == (1, ["bad.png"])
    assert standing(store).manifest.unreadable == 1
    put_counts(store, "bad.png", {"good": 1})
    assert reconcile(store, SETTINGS) == Changes(changed=1)


def test_counts_by_other_rules_are_reported_and_count_for_nothing(store: MemoryStore) -> None:
    put_counts(store, "old.png", {"treaty1": 1}, rules="inktally.tokens/1 unicode/14.0.0")
    changes = reconcile(store, SETTINGS)
    assert "inktally.tokens/1 unicode/14.0.0" in changes.unreadable["old.png"]
    assert not any(word == "treaty1" for _, _, word in kept(store))
    put_counts(store, "old.png", {"treaty": 1})
    assert reconcile(store, SETTINGS) == Changes(changed=1)


def test_a_corpus_of_other_rules_is_made_anew_and_never_added_to(store: MemoryStore) -> None:
    state = standing(store)
    old = state.manifest.model_copy(update={"rules": "inktally.tokens/1"})
    publish(store, old, state)
    put_counts(store, "a/1.png", {"the": 3}, rules="inktally.tokens/1 unicode/14.0.0")
    changes = reconcile(store, SETTINGS)
    assert (changes.added, list(changes.unreadable)) == (3, ["a/1.png"])
    assert kept(store) == recounted(store, "a/1.png")
    assert not parts(store) & old.files


def test_a_word_that_is_listed_twice_has_the_sum(store: MemoryStore) -> None:
    entry = {"word": "twice", "count": 2}
    twice = json.dumps({"schema": "inktally.word-counts/1", "tokeniser": RULES, "words": [entry, entry]})
    store.put(keys.word_counts("c.png"), twice.encode())
    reconcile(store, SETTINGS)
    assert consistently(store, lambda corpus: corpus.document("c.png")) == {"twice": 4}


def damage_sums(store: MemoryStore) -> None:
    """Of one bucket, by those of another."""
    one, other, *_ = standing(store).manifest.buckets.values()
    store.put(one.words, store.read(other.words))


def damage_files(store: MemoryStore) -> None:
    one, other, *_ = standing(store).manifest.buckets.values()
    store.put(one.words, b"no Parquet")
    store.remove(other.documents)


@pytest.mark.parametrize(("damage", "buckets"), [(damage_sums, 1), (damage_files, 2)])
def test_a_recount_mends_what_is_wrong(store: MemoryStore, damage: Callable[[MemoryStore], None], buckets: int) -> None:
    damage(store)
    assert reconcile(store, SETTINGS, recount=True) == Changes(mended=buckets)
    assert kept(store) == recounted(store)
    assert reconcile(store, SETTINGS, recount=True) == Changes()


def test_a_manifest_that_is_none_is_told_and_replaced_by_a_recount(store: MemoryStore) -> None:
    store.put(keys.CORPUS_MANIFEST, b"{}}")
    with pytest.raises(BadResult, match="recount"):
        reconcile(store, SETTINGS)
    assert reconcile(store, SETTINGS, recount=True).added == 3
    assert kept(store) == recounted(store)


def test_a_run_that_slept_through_its_lease_changes_nothing() -> None:
    """Another run publishes while the first is at work: the first finds out when it wants to."""

    @dataclass
    class Slow(MemoryStore):
        slept: bool = False

        def put(self, key: str, *arguments: Any, **options: Any) -> Any:
            if key.startswith(keys.CORPUS_PARTS) and not self.slept:
                self.slept = True
                self.now += SETTINGS.lease_seconds + 1
                reconcile(self, SETTINGS)
            return super().put(key, *arguments, **options)

    slow = Slow()
    put_counts(slow, "new.png", {"new": 1})
    put_counts(slow, "newer.png", {"newer": 1})
    with pytest.raises(Busy):
        reconcile(slow, SETTINGS)
    assert kept(slow) == recounted(slow)


def test_top_words_are_by_count_then_by_code_points(store: MemoryStore) -> None:
    put_counts(store, "c.png", {"Ångström": 5, "zebra": 5})
    reconcile(store, SETTINGS)
    top = consistently(store, lambda corpus: figures.corpus_words(figures.all_words(corpus), 4))
    assert [(entry.word, entry.total, entry.documents) for entry in top] == [
        ("the", 6, 3),
        ("dog", 5, 1),
        ("zebra", 5, 1),
        ("Ångström", 5, 1),
    ]


def test_groups_have_their_documents_words_and_top_words(store: MemoryStore) -> None:
    put_counts(store, "empty.png", {})
    reconcile(store, SETTINGS)
    told = consistently(store, lambda corpus: figures.groups(corpus, "prefix"))
    assert [(group.name, group.documents, group.tokens, group.distinct) for group in told] == [
        ("", 1, 0, 0),
        ("a/", 2, 10, 3),
        ("b/", 1, 2, 1),
    ]
    assert [entry.word for entry in told[1].words] == ["dog", "the", "cat"]
    (day,) = consistently(store, lambda corpus: figures.groups(corpus, "day"))
    assert (day.documents, day.tokens, day.distinct) == (4, 12, 3)


def test_a_document_is_marked_by_the_words_that_others_lack(store: MemoryStore) -> None:
    marking = consistently(store, lambda corpus: figures.marking_words(corpus, "a/2.png", 5))
    assert [(entry.word, round(entry.score, 4)) for entry in marking] == [("dog", 0.9155), ("the", 0.0)]
    with pytest.raises(NotFound, match=r"no document a/9\.png"):
        consistently(store, lambda corpus: figures.marking_words(corpus, "a/9.png", 5))


def test_the_vocabulary_grows_in_the_order_of_days_then_names(store: MemoryStore) -> None:
    store.now += DAY
    put_counts(store, "0.png", {"the": 1, "new": 1})
    reconcile(store, SETTINGS)
    growth = consistently(store, figures.growth)
    assert (growth.tokens, growth.distinct) == ((4, 10, 12, 14), (2, 3, 3, 4))
    assert 0 < growth.exponent < 1


def test_a_law_is_found_where_there_is_one() -> None:
    store, seen = MemoryStore(), 0
    for number in range(1, 30):
        distinct = round(3 * (100 * number) ** 0.5)
        new = {f"w{word}": 1 for word in range(seen, distinct)}
        put_counts(store, f"{number:02}.png", new | {"the": 100 - len(new)})
        seen = distinct
    reconcile(store, SETTINGS)
    assert consistently(store, figures.growth).exponent == pytest.approx(0.5, abs=0.02)


def test_an_empty_store_has_an_empty_corpus() -> None:
    store = MemoryStore()
    assert reconcile(store, SETTINGS) == Changes()
    told = report(store, SETTINGS, top=5, by="day", document="")
    assert (told.documents, told.tokens, told.distinct, told.words, told.groups) == (0, 0, 0, (), ())


def test_words_are_no_formulas_in_the_table_and_do_not_stand_in_the_curve(store: MemoryStore) -> None:
    put_counts(store, "evil.png", {"=cmd|'/c calc'!A1": 99, "<script>alert(1)</script>": 98})
    reconcile(store, SETTINGS)
    told = report(store, SETTINGS, top=5, by=None, document="")
    table = store.read(keys.corpus_report("words.csv")).decode("utf-8-sig").splitlines()
    assert table[:2] == ['"word","total","documents"', "\"'=cmd|'/c calc'!A1\",99,1"]
    curve = store.read(keys.corpus_report("growth.svg"))
    assert b"alert" not in curve
    assert ET.fromstring(curve).tag.endswith("svg")  # noqa: S314 - our own
    assert curve == growth_svg(told.growth)


def test_a_reader_goes_on_with_the_state_that_replaced_the_one_it_was_reading(store: MemoryStore) -> None:
    looks = []

    def look(corpus: Corpus) -> int:
        if not looks:
            put_counts(store, "a/1.png", {"changed": 1})
            reconcile(store, SETTINGS)
        looks.append(corpus)
        return sum(table.num_rows for table in corpus.words())

    assert consistently(store, look) == len(recounted(store))
    assert len(looks) == 2
