"""What the sweep finds, and what it leaves alone."""

from inktally import keys
from inktally.delivery import Delivery, Outcome, Upload
from inktally.intake.sweeping import Sweep, Unanswered
from inktally.settings import read_settings
from inktally.steps import deliveries, markers
from tests.support.memory_store import MemoryStore

SETTINGS = read_settings(sweep_grace_seconds=120, lease_seconds=30, sweep_again_seconds=3600)


def delivered(store: MemoryStore, key: str = "input/a.png") -> Delivery:
    store.put(key, b"picture")
    return deliveries.look(store, Upload(key=key, store=store.uri))


def swept(store: MemoryStore) -> list[Unanswered]:
    return list(Sweep(store, SETTINGS).unanswered())


def test_a_picture_that_nobody_answered_is_found_once_it_is_late() -> None:
    store = MemoryStore()
    delivered(store)
    store.now += 119
    assert swept(store) == []
    store.now += 2
    (late,) = swept(store)
    assert (late.upload.key, late.age) == ("input/a.png", 121)


def test_what_is_answered_or_not_an_upload_is_left_alone() -> None:
    store = MemoryStore()
    markers.mark_answered(store, delivered(store), Outcome(upload="a"))
    store.put("output/a.png.txt", b"text")
    store.put("input/folder/", b"")
    store.put("input/notes.txt", b"the receiver starts no run for it either")
    store.now += 1000
    assert swept(store) == []


def test_a_picture_replaced_after_its_answer_is_found_again() -> None:
    store = MemoryStore()
    markers.mark_answered(store, delivered(store), Outcome(upload="a"))
    store.now += 10
    delivered(store)
    store.now += 1000
    assert len(swept(store)) == 1


def test_a_picture_at_work_is_left_to_its_run_until_that_has_died() -> None:
    store = MemoryStore()
    delivery = delivered(store)
    store.now += 1000
    store.put(keys.marker(delivery.id, "claim"), b"holder")
    store.now += 29
    assert swept(store) == []
    store.now += 2
    assert len(swept(store)) == 1


def test_the_same_attempt_has_the_same_key_and_a_further_one_another() -> None:
    store = MemoryStore()
    delivery = delivered(store)
    store.now += 200
    (first,), (again,) = swept(store), swept(store)
    assert first.idempotency_key == again.idempotency_key
    store.put(keys.marker(delivery.id, "claim"), b"a holder that died")
    store.now += 31
    (after_a_crash,) = swept(store)
    store.now += 3600
    (much_later,) = swept(store)
    assert len({first.idempotency_key, after_a_crash.idempotency_key, much_later.idempotency_key}) == 3


def test_the_sweep_counts_what_it_looked_at() -> None:
    store = MemoryStore()
    for number in range(5):
        delivered(store, f"input/{number}.png")
    sweep = Sweep(store, SETTINGS)
    assert list(sweep.unanswered()) == []
    assert sweep.looked_at == 5
