"""Leases: exclusive, renewed, and up for taking when their holder has died."""

import time
from threading import Thread
from typing import Any

import pytest

from inktally.delivery import StoredObject
from inktally.errors import Busy, StoreDown
from inktally.lease import Lease, leased
from tests.support.memory_store import MemoryStore
from tests.support.waiting import eventually

KEY = "locks/x"
SOON = 0.005  # seconds


def test_only_one_of_many_has_it_at_a_time() -> None:
    store, inside, most = MemoryStore(), [0], [0]

    def work() -> None:
        with leased(store, KEY, ttl=30):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.002)
            inside[0] -= 1

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert list(store.list("locks/")) == []


def test_one_that_is_held_is_not_to_be_had() -> None:
    store = MemoryStore()
    with leased(store, KEY, ttl=30), pytest.raises(Busy), leased(store, KEY, ttl=30, timeout=0):
        pytest.fail("two holders")


def test_it_can_be_taken_once_its_holder_has_not_renewed_it_for_its_time() -> None:
    store = MemoryStore()
    store.put(KEY, b"of one who has died")
    store.now += 31
    assert Lease(store, KEY, ttl=30).acquire(timeout=0)


def test_it_cannot_be_taken_before() -> None:
    store = MemoryStore()
    store.put(KEY, b"of one who lives")
    store.now += 29
    assert not Lease(store, KEY, ttl=30).acquire(timeout=0)


def test_of_two_who_take_over_one_wins() -> None:
    store = MemoryStore()
    store.put(KEY, b"of one who has died")
    store.now += 31
    assert [Lease(store, KEY, ttl=30).acquire(timeout=0) for _ in range(2)] == [True, False]


def test_a_holder_renews_it() -> None:
    store = MemoryStore()
    lease = Lease(store, KEY, ttl=0.3)
    assert lease.acquire(timeout=0)
    first = store.stat(KEY).etag
    eventually(lambda: store.stat(KEY).etag != first, every=SOON)
    assert lease.held
    lease.release()


def test_a_holder_whose_lease_was_taken_knows_it_and_leaves_the_other_alone() -> None:
    store = MemoryStore()
    lease = Lease(store, KEY, ttl=0.1)
    assert lease.acquire(timeout=0)
    store.put(KEY, b"of another")
    eventually(lambda: not lease.held, every=SOON)
    lease.release()
    assert store.read(KEY) == b"of another"


def test_a_store_that_is_down_for_a_moment_costs_nobody_the_lease() -> None:
    store = MemoryStore()
    lease = Lease(store, KEY, ttl=0.3)
    assert lease.acquire(timeout=0)
    store.failures, first = {KEY: 1}, store.stat(KEY).etag
    eventually(lambda: store.stat(KEY).etag != first, every=SOON)
    assert (lease.held, store.failures) == (True, {KEY: 0})
    lease.release()


def test_a_write_whose_answer_was_lost_and_that_was_sent_twice_is_still_ours() -> None:
    class Deaf(MemoryStore):
        def put(self, *arguments: Any, **conditions: Any) -> StoredObject:
            super().put(*arguments, **conditions)
            return super().put(*arguments, **conditions)

    store = Deaf()
    lease = Lease(store, KEY, ttl=0.3)
    assert lease.acquire(timeout=0)
    first = store.stat(KEY).etag
    eventually(lambda: store.stat(KEY).etag != first, every=SOON)
    assert lease.held
    lease.release()


def test_a_renewal_that_was_done_although_the_store_said_it_was_down_costs_nobody_the_lease() -> None:
    class Liar(MemoryStore):
        lies = truths = 0

        def put(self, *arguments: Any, **conditions: Any) -> StoredObject:
            written = super().put(*arguments, **conditions)
            if conditions["if_match"] and self.lies == 0:
                self.lies += 1
                raise StoreDown("No answer came.")
            self.truths += 1
            return written

    store = Liar()
    lease = Lease(store, KEY, ttl=0.3)
    assert lease.acquire(timeout=0)
    eventually(lambda: store.truths > 1, every=SOON)
    assert (lease.held, store.lies) == (True, 1)
    lease.release()
    assert not list(store.list(""))


def test_one_that_another_holds_is_not_removed_by_a_holder_who_slept() -> None:
    store = MemoryStore()
    lease = Lease(store, KEY, ttl=30)
    assert lease.acquire(timeout=0)
    store.put(KEY, b"of another, who took it while we were suspended")
    lease.release()
    assert store.read(KEY) == b"of another, who took it while we were suspended"


def test_a_renewal_that_is_late_is_waited_for_and_one_that_another_forestalled_is_not() -> None:
    store = MemoryStore()
    late = Lease(store, KEY, ttl=0.4)
    assert late.acquire(timeout=0)
    store.down = True
    eventually(lambda: not late.held, every=SOON)
    store.down = False
    assert late.is_kept()
    store.put(KEY, b"of another")
    eventually(lambda: not late.held, every=SOON)
    begun = time.monotonic()
    assert not late.is_kept()
    assert time.monotonic() - begun < 0.2
    late.release()
