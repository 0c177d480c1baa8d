"""Cached recognitions: who uses them, and what is removed and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from inktally import keys
from inktally.cache.clearing import DAY_SECONDS, Cleared, Clearing
from inktally.cache.recognitions import Cached, Choice, Recognitions
from inktally.delivery import Delivery, Receipt, Upload
from inktally.document import Engine, Recognition
from inktally.lease import Lease
from inktally.outputs.word_counts import counts_json
from inktally.ports import PagesDone
from inktally.settings import Settings, read_settings
from inktally.steps import deliveries, recognising
from tests.support.memory_store import MemoryStore
from tests.support.readings import a_reading

ENGINES = {name: Engine(name=name, version="1", languages=("eng",)) for name in ("tesseract", "textract")}


@dataclass
class ReceiptsInMemory:
    shared: bool = False
    kept: dict[str, Receipt] = field(default_factory=dict)

    def keys(self) -> Iterator[str]:
        return iter(list(self.kept))

    def read(self, key: str) -> Receipt | None:
        return self.kept.get(key)

    def remove(self, key: str) -> None:
        self.kept.pop(key, None)


class NoRecogniser:
    """Nothing is to be read."""

    def warm_up(self) -> None:
        raise NotImplementedError

    def identify(self, languages: Sequence[str]) -> Engine:
        raise NotImplementedError

    def recognise(self, picture: Path, engine: Engine, done: PagesDone | None = None) -> Recognition:
        raise NotImplementedError


@dataclass
class World:
    """A store with cached recognitions, as runs leave them."""

    settings: Settings
    store: MemoryStore = field(default_factory=MemoryStore)
    receipts: ReceiptsInMemory = field(default_factory=ReceiptsInMemory)

    def read(self, name: str, picture: bytes, engine: str = "tesseract") -> Delivery:
        """A picture that was recognised, counted and published."""
        self.store.put(f"input/{name}", picture)
        delivery = deliveries.look(self.store, Upload(key=f"input/{name}"))
        made_by = ENGINES[engine]
        receipt = Receipt(content=_sha(picture), fingerprint=made_by.fingerprint, artefact="", words=1, pages=1)
        receipt = receipt.model_copy(update={"artefact": keys.recognition(receipt.content, receipt.fingerprint)})
        recognition = Recognition(engine=made_by, pages=(), words=(), text="")
        self.store.put(receipt.artefact, recognition.model_dump_json().encode())
        self.store.put(keys.all_counts(receipt.content, receipt.fingerprint) + "ab.json", b"{}")
        self.receipts.kept[keys.receipt(self.store.uri, delivery, made_by)] = receipt
        told = {"etag": delivery.picture.etag, "size": len(picture), "fingerprint": made_by.fingerprint}
        self.store.put(keys.word_counts(name), counts_json(a_reading("x").counts.model_copy(update=told)))
        return delivery

    @property
    def recognitions(self) -> Recognitions:
        return Recognitions(self.store, self.receipts, self.settings.scratch)

    def chosen(self, **choice: object) -> list[Cached]:
        return list(self.recognitions.chosen(Choice(**choice)))  # type: ignore[arg-type]

    def clear(self, *, dry_run: bool = False, **choice: object) -> Cleared:
        clearing = Clearing(self.store, self.receipts, self.settings, dry_run=dry_run)
        return clearing.clear(self.recognitions, self.chosen(**choice))

    def tidy(self) -> Cleared:
        return Clearing(self.store, self.receipts, self.settings).tidy(self.recognitions)

    def under(self, prefix: str) -> list[str]:
        return [found.key for found in self.store.list(prefix)]


def _sha(picture: bytes) -> str:
    return sha256(picture).hexdigest()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two documents of the same bytes, one of others by another engine."""
    world = World(read_settings(scratch=tmp_path, lease_seconds=30))
    world.read("a.png", b"same")
    world.read("copy of a.png", b"same")
    world.store.now += 10 * DAY_SECONDS
    world.read("b.png", b"other", engine="textract")
    return world


def test_the_list_tells_engine_age_size_and_documents(world: World) -> None:
    told = {(each.engine, each.age, each.documents) for each in world.chosen()}
    assert told == {
        ("tesseract 1 eng", 10 * DAY_SECONDS, ("a.png", "copy of a.png")),
        ("textract 1 eng", 0.0, ("b.png",)),
    }
    assert all(each.size == len(world.store.read(each.artefact)) + 2 for each in world.chosen())


@pytest.mark.parametrize(
    ("choice", "engines"),
    [
        ({"age": 5 * DAY_SECONDS}, ["tesseract"]),
        ({"engine": "textract"}, ["textract"]),
        ({"engine": ENGINES["tesseract"].fingerprint}, ["tesseract"]),
        ({"document": "b.png"}, ["textract"]),
        ({"document": "c.png"}, []),
        ({"unused": True}, []),
    ],
)
def test_recognitions_are_chosen_by_age_engine_or_document(
    world: World, choice: dict[str, object], engines: list[str]
) -> None:
    assert [each.engine.partition(" ")[0] for each in world.chosen(**choice)] == engines


def test_what_no_document_leads_to_is_unused_and_what_no_receipt_leads_to_cannot_be_told(world: World) -> None:
    world.store.remove("input/b.png")
    assert world.chosen(unused=True) == []
    world.store.remove(keys.word_counts("b.png"))
    (unused,) = world.chosen(unused=True)
    assert unused.content == _sha(b"other")
    world.receipts.kept.clear()
    assert world.chosen(unused=True) == []
    assert [each.documents for each in world.chosen()] == [None, None]


def test_a_document_is_found_by_its_bytes_where_no_receipt_is_left(world: World) -> None:
    world.receipts.kept.clear()
    assert [each.content for each in world.chosen(document="a.png")] == [_sha(b"same")]


def test_what_is_cleared_goes_with_its_counts_and_receipts_and_published_outputs_stay(world: World) -> None:
    published = world.under("output/")
    assert world.clear(document="a.png").recognitions == 1
    assert all(key.startswith(f"recognitions/{_sha(b'other')}/") for key in world.under("recognitions/"))
    assert len(world.receipts.kept) == 1
    assert (world.under("output/"), world.under("locks/")) == (published, [])


def test_a_dry_run_tells_and_removes_nothing(world: World) -> None:
    before = world.under(""), dict(world.receipts.kept)
    assert world.clear(dry_run=True) == world.clear(dry_run=True)
    assert (world.under(""), world.receipts.kept) == before
    assert world.clear().recognitions == 2


def test_what_is_being_recognised_is_left_alone(world: World) -> None:
    (cached,) = world.chosen(engine="textract")
    held = Lease(world.store, keys.lock(cached.artefact), ttl=30)
    assert held.acquire(0)
    cleared = world.clear()
    assert (cleared.recognitions, cleared.in_use) == (1, 1)
    assert world.chosen()[0].artefact == cached.artefact
    held.release()
    assert world.clear().recognitions == 1


def test_what_a_run_is_answering_is_left_alone_until_that_has_died(world: World) -> None:
    delivery = world.read("a.png", b"same")
    world.store.now += 2 * DAY_SECONDS
    world.store.put(keys.marker(delivery.id, "claim"), b"holder")
    assert (world.clear().in_use, [each.content for each in world.chosen()]) == (1, [_sha(b"same")])
    world.store.now += 31
    assert world.clear().recognitions == 1


def test_while_a_run_is_at_work_what_is_young_is_left_alone(world: World) -> None:
    fresh = world.store.put("input/new.png", b"new")
    delivery = Delivery(upload=Upload(key="input/new.png"), picture=fresh)
    world.store.put(keys.marker(delivery.id, "claim"), b"holder")
    assert world.clear().in_use == 1
    assert [each.engine for each in world.chosen()] == ["textract 1 eng"]


def test_while_a_run_of_an_unknown_picture_is_at_work_all_is_left_alone(world: World) -> None:
    world.store.put(keys.marker("0" * 64, "claim"), b"holder")
    assert (world.clear().in_use, len(world.chosen())) == (2, 2)


def test_while_a_batch_is_at_work_all_is_left_alone(world: World) -> None:
    world.store.put(keys.batch_lease("letters"), b"holder")
    assert (world.clear().in_use, len(world.chosen())) == (2, 2)
    world.store.now += 31
    assert world.clear().recognitions == 2


def test_what_a_later_run_has_found_again_is_left_alone(world: World) -> None:
    chosen = world.chosen()
    world.store.now += 60
    (found,) = (each for each in chosen if each.engine.startswith("textract"))
    delivery = deliveries.look(world.store, Upload(key="input/b.png"))
    engine = ENGINES["textract"]
    receipt = recognising.recognise(world.store, NoRecogniser(), delivery, engine, world.settings, refresh=False)
    assert receipt.made_for == "", "it was found"
    cleared = Clearing(world.store, world.receipts, world.settings).clear(world.recognitions, chosen)
    assert (cleared.recognitions, cleared.in_use) == (1, 1)
    assert [each.content for each in world.chosen()] == [found.content]


@pytest.mark.parametrize("writes", range(8))
def test_a_clearing_that_is_cut_short_is_simply_made_again(world: World, writes: int) -> None:
    class Cut(Exception):
        pass

    left = [writes]
    remove = world.store.remove

    class Mortal(MemoryStore):
        def remove(self, key: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut
            remove(key)

    mortal = Mortal(now=world.store.now, _objects=vars(world.store)["_objects"])
    with suppress(Cut):
        Clearing(mortal, world.receipts, world.settings).clear(world.recognitions, world.chosen())
    world.store.now += 31
    world.clear()
    assert world.under("recognitions/") == []


def test_what_runs_that_died_left_behind_is_tidied_up(world: World) -> None:
    (old, young) = keys.lock("old"), keys.lock("young")
    answered = keys.marker("1" * 64, "answered")
    for key in (old, keys.marker("1" * 64, "claim"), answered):
        world.store.put(key, b"holder")
    world.store.put(keys.page("1" * 64, "a" * 16, 2), b"a page")
    world.store.now += 2 * DAY_SECONDS
    world.store.put(young, b"holder")
    world.store.put(keys.page("2" * 64, "a" * 16, 2), b"a page")
    (cached,) = world.chosen(engine="textract")
    world.store.remove(cached.artefact)
    assert world.tidy() == Cleared(receipts=1, leases=2, pages=1)
    assert world.under(keys.PAGES) == [keys.page("2" * 64, "a" * 16, 2)]
    assert (world.under("locks/"), world.under("state/")) == ([young], [answered])


def test_receipts_that_stores_share_are_left_alone(world: World) -> None:
    world.receipts.shared = True
    world.store.remove(world.chosen()[0].artefact)
    assert world.tidy() == Cleared()
