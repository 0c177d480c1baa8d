"""What every store promises to those who write, copy and delete under a condition."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from inktally import plugins
from inktally.errors import Overwritten
from inktally.ports import Store
from inktally.settings import Settings
from tests.contract.conftest import STURDY
from tests.contract.test_stores import keys_of, md5


def test_a_write_if_absent_never_replaces(store: Store) -> None:
    first = store.put("claim", b"mine", if_absent=True)
    with pytest.raises(Overwritten):
        store.put("claim", b"yours", if_absent=True)
    assert store.stat("claim").same_version(first)
    store.remove("claim")
    store.put("claim", b"yours", if_absent=True)
    assert store.read("claim") == b"yours"


def test_a_write_if_matching_replaces_only_what_it_knows(store: Store) -> None:
    first = store.put("claim", b"1")
    second = store.put("claim", b"2", if_match=first.etag, metadata={"holder": "me"})
    for etag in (first.etag, md5(b"never")):
        with pytest.raises(Overwritten):
            store.put("claim", b"3", if_match=etag)
    assert store.stat("claim").same_version(second)
    assert store.stat("claim").metadata == {"holder": "me"}
    with pytest.raises(Overwritten):
        store.put("nothing there", b"1", if_match=first.etag)
    assert keys_of(store) == ["claim"]


def test_of_many_who_write_at_once_if_absent_one_wins(sturdy_settings: Settings) -> None:
    stores = [plugins.store(sturdy_settings.store, sturdy_settings) for _ in range(16)]
    for attempt in range(5):
        key = f"claim {attempt}"
        with ThreadPoolExecutor(16) as pool:
            wins = list(pool.map(wins_claim, stores, [key] * 16, range(16)))
        assert sum(wins) == 1
        assert stores[0].read(key) == str(wins.index(True)).encode()


def test_no_step_of_a_counter_is_lost_between_threads(sturdy_settings: Settings) -> None:
    store = plugins.store(sturdy_settings.store, sturdy_settings)
    store.put("counter", b"0 nobody")
    with ThreadPoolExecutor(6) as pool:
        steps = sum(pool.map(count_up, [sturdy_settings] * 6, range(6)))
    assert store.read("counter").split()[0] == str(steps).encode()
    assert steps >= 8


@pytest.mark.parametrize("sturdy_kind", [STURDY[0], STURDY[-1]], indirect=True)
def test_no_step_of_a_counter_is_lost_between_processes(sturdy_settings: Settings) -> None:
    store = plugins.store(sturdy_settings.store, sturdy_settings)
    store.put("counter", b"0 nobody")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        steps = sum(pool.map(count_up, [sturdy_settings] * 2, range(2)))
    assert store.read("counter").split()[0] == str(steps).encode()
    assert steps >= 8


def wins_claim(store: Store, key: str, number: int) -> bool:
    try:
        store.put(key, str(number).encode(), if_absent=True)
    except Overwritten:
        return False
    return True


def count_up(settings: Settings, who: int) -> int:
    """Eight attempts to add one, as a lease does it; how many succeeded."""
    store, steps = plugins.store(settings.store, settings), 0
    for _ in range(8):
        found = store.stat("counter")
        value = int(store.read("counter").split()[0])
        try:
            store.put("counter", f"{value + 1} {who}".encode(), if_match=found.etag)
        except Overwritten:
            continue
        steps += 1
    return steps
