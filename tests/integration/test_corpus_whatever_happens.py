"""The corpus equals a recount after anything that may happen between runs, and after runs that were killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from inktally import keys
from inktally.corpus.manifest import standing
from inktally.corpus.reconciling import Changes, exclude, include, reconcile
from inktally.errors import NotFound
from tests.integration.test_corpus import DAY, SETTINGS, kept, parts
from tests.support.counted import put_counts, recounted
from tests.support.memory_store import MemoryStore


class Killed(BaseException):
    """The process is gone."""


@dataclass
class MortalStore(MemoryStore):
    """Whoever uses it is killed at the request that finds no more `requests_left`, and may do nothing any more."""

    requests_left: float = float("inf")

    def _one_more(self) -> None:
        self.requests_left -= 1
        if self.requests_left < 0:
            raise Killed

    def stat(self, key: str, version: str = "") -> Any:
        self._one_more()
        return super().stat(key, version)

    def read(self, key: str) -> bytes:
        self._one_more()
        return super().read(key)

    def put(self, *arguments: Any, **options: Any) -> Any:
        self._one_more()
        return super().put(*arguments, **options)

    def remove(self, key: str) -> None:
        self._one_more()
        super().remove(key)


NAMES = st.sampled_from(["a.png", "ü/\N{SNOWMAN}\n'\".png", "x" * 1000 + ".png"])


WORDS = st.one_of(
    st.sampled_from(["the", "don't", "=1+1", "<b>"]), st.text(min_size=1, max_size=5).filter(str.isprintable)
)


EVENTS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.dictionaries(WORDS, st.integers(1, 10**9), max_size=4)),
    st.tuples(st.sampled_from(["put", "remove", "exclude", "include"]), NAMES),
    st.tuples(st.just("pass_"), st.floats(0, 3 * DAY)),
)


RUNS = st.one_of(
    st.tuples(st.just("count")),
    st.tuples(st.just("killed"), st.integers(0, 40), st.sampled_from([0.0, 30.0])),
)


class World:
    """A store to which things happen, and the names that were taken out of its corpus."""

    def __init__(self) -> None:
        self.store = MortalStore()
        self.without: set[str] = set()

    def put(self, name: str, counts: Mapping[str, int] = MappingProxyType({"the": 1})) -> None:
        put_counts(self.store, name, counts)

    def remove(self, name: str) -> None:
        self.store.remove(keys.word_counts(name))

    def exclude(self, name: str) -> None:
        try:
            exclude(self.store, name)
        except NotFound:
            return
        self.without.add(keys.counted_document(keys.word_counts(name)))

    def include(self, name: str) -> None:
        include(self.store, name)
        self.without.discard(keys.counted_document(keys.word_counts(name)))

    def pass_(self, seconds: float) -> None:
        self.store.now += seconds

    def count(self) -> None:
        reconcile(self.store, SETTINGS)
        assert kept(self.store) == recounted(self.store, *self.without)
        assert parts(self.store) >= standing(self.store).manifest.files

    def killed(self, requests: int, publish_seconds: float) -> None:
        """Of a run that is cut short the lease is left behind, and ends after its time."""
        self.store.requests_left = requests
        try:
            reconcile(self.store, SETTINGS, publish_seconds=publish_seconds)
        except Killed:
            self.store.requests_left = float("inf")
            self.store.now += SETTINGS.lease_seconds + 1
        self.store.requests_left = float("inf")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(EVENTS, RUNS), min_size=1, max_size=12))
def test_the_corpus_equals_a_recount_whatever_happens(steps: list[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> None:
    world = World()
    for step in steps:
        for name, *arguments in step:
            getattr(world, name)(*arguments)
    world.count()
    assert reconcile(world.store, SETTINGS) == Changes()
    world.store.now += 3 * DAY
    recount = reconcile(world.store, SETTINGS, recount=True)
    assert recount == Changes()
    assert parts(world.store) == standing(world.store).manifest.files, "what the killed left behind has been removed"


def test_a_first_build_that_is_killed_goes_on_where_it_was() -> None:
    store = MortalStore()
    for number in range(40):
        put_counts(store, f"{number}.png", {"word": 1})
    store.requests_left = 60
    with pytest.raises(Killed):
        reconcile(store, SETTINGS, publish_seconds=0)
    store.requests_left = float("inf")
    store.now += SETTINGS.lease_seconds + 1
    done = standing(store).manifest
    assert (done.complete, 0 < done.documents < 40) == (False, True)
    assert reconcile(store, SETTINGS).added == 40 - done.documents
    assert standing(store).manifest.complete
