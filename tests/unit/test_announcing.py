"""Uploads that come together go together; one that comes alone goes at once; none is lost while Prefect is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from selectors import DefaultSelector, SelectorKey

import pytest

from inktally.delivery import Upload
from inktally.errors import BadEvent, RunsDown
from inktally.intake.events import Arrival
from web.hooks.announcing import ROOM, Announcer, Outbox
from web.meters import Meters

WINDOW = 0.06


@dataclass
class Recorder:
    """Runs that are only written down, with the time they were asked for; `failures` are raised first."""

    failures: list[Exception] = field(default_factory=list)
    announced: list[list[Arrival]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    async def announce(self, arrivals: Sequence[Arrival]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.announced.append(list(arrivals))
        self.times.append(now())

    async def is_reachable(self) -> bool:
        return not self.failures


def arrivals(first: int, last: int, store: str = "s3://letters") -> list[Arrival]:
    return [Arrival(upload=Upload(key=f"input/{n}.png", store=store), moment="1") for n in range(first, last)]


class Leaping(DefaultSelector):
    """Where a loop would wait until its next timer, its clock leaps there."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        events = super().select(timeout and 0)
        self.now += 0 if events or timeout is None else max(timeout, 0)
        return events


class Loop(asyncio.SelectorEventLoop):
    """Its time is not that on the wall: pauses take none, and a busy machine makes nobody late."""

    def __init__(self) -> None:
        self.leaping = Leaping()
        super().__init__(self.leaping)

    def time(self) -> float:
        return self.leaping.now


def now() -> float:
    return asyncio.get_running_loop().time()


def within(recorder: Recorder, body: Callable[[Outbox], Awaitable[None]]) -> Outbox:
    """Run `body` while the outbox announces to the recorder."""

    async def run() -> Outbox:
        meters = Meters()
        outbox = Outbox(Announcer(recorder, meters, first_retry=0.05), WINDOW, meters)
        announcing = asyncio.create_task(outbox.run())
        await body(outbox)
        announcing.cancel()
        with suppress(asyncio.CancelledError):
            await announcing
        return outbox

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(run())


def test_one_alone_goes_at_once_and_those_soon_after_go_together() -> None:
    recorder = Recorder()

    async def body(outbox: Outbox) -> None:
        begun = now()
        outbox.add(arrivals(0, 1))
        for n in range(1, 6):
            await asyncio.sleep(0.01)
            outbox.add(arrivals(n, n + 1))
        await asyncio.sleep(3 * WINDOW)
        assert recorder.times[0] == begun

    within(recorder, body)
    assert [len(batch) for batch in recorder.announced] == [1, 5]


def test_after_a_quiet_time_the_next_goes_at_once_again() -> None:
    recorder = Recorder()

    async def body(outbox: Outbox) -> None:
        for n in range(3):
            await asyncio.sleep(2 * WINDOW)
            begun = now()
            outbox.add(arrivals(n, n + 1))
            await asyncio.sleep(0.03)
            assert recorder.times[n] == begun

    within(recorder, body)


def test_a_burst_becomes_few_events_of_at_most_a_hundred() -> None:
    recorder = Recorder()

    async def body(outbox: Outbox) -> None:
        for n in range(0, 1000, 10):
            outbox.add(arrivals(n, n + 10))
            await asyncio.sleep(0.002)
        await asyncio.sleep(15 * WINDOW)

    within(recorder, body)
    assert sum(len(batch) for batch in recorder.announced) == 1000
    assert max(len(batch) for batch in recorder.announced) == 100
    assert len(recorder.announced) <= 16


def test_stores_are_announced_apart() -> None:
    recorder = Recorder()

    async def body(outbox: Outbox) -> None:
        outbox.add([*arrivals(0, 2), *arrivals(0, 2, "s3://other"), *arrivals(2, 3)])
        await asyncio.sleep(5 * WINDOW)

    within(recorder, body)
    assert [[each.upload.store for each in batch] for batch in recorder.announced] == [
        ["s3://letters"] * 3,
        ["s3://other"] * 2,
    ]


def test_what_was_announced_lately_is_not_announced_again() -> None:
    recorder = Recorder()

    async def body(outbox: Outbox) -> None:
        assert outbox.add(arrivals(0, 3)) == 3
        assert outbox.add(arrivals(0, 3)) == 0
        await asyncio.sleep(2 * WINDOW)
        assert outbox.add(arrivals(0, 4)) == 1
        await asyncio.sleep(2 * WINDOW)

    within(recorder, body)
    assert [len(batch) for batch in recorder.announced] == [3, 1]


def test_nothing_is_lost_while_prefect_is_away() -> None:
    recorder = Recorder(failures=[RunsDown("away"), RunsDown("still away")])

    async def body(outbox: Outbox) -> None:
        outbox.add(arrivals(0, 1))
        await asyncio.sleep(0.05)
        outbox.add(arrivals(1, 3))
        await asyncio.sleep(0.4)

    within(recorder, body)
    assert [len(batch) for batch in recorder.announced] == [1, 2]


def test_an_event_that_is_refused_does_not_stop_those_after_it() -> None:
    recorder = Recorder(failures=[BadEvent("never")])

    async def body(outbox: Outbox) -> None:
        outbox.add(arrivals(0, 1))
        await asyncio.sleep(2 * WINDOW)
        outbox.add(arrivals(1, 2))
        await asyncio.sleep(2 * WINDOW)

    within(recorder, body)
    assert [[each.upload.key for each in batch] for batch in recorder.announced] == [["input/1.png"]]


def test_the_room_for_waiting_uploads_is_bounded() -> None:
    recorder = Recorder(failures=[RunsDown("away")] * 100)

    async def body(outbox: Outbox) -> None:
        outbox.add(arrivals(0, ROOM))
        assert outbox.add(arrivals(0, ROOM)) == 0
        with pytest.raises(RunsDown):
            outbox.add(arrivals(ROOM, ROOM + 1))

    within(recorder, body)


def test_what_waits_at_the_end_is_announced_without_pauses() -> None:
    recorder = Recorder()

    async def body(outbox: Outbox) -> None:
        outbox.add(arrivals(0, 1))
        await asyncio.sleep(0.01)
        outbox.add(arrivals(1, 250))
        await outbox.finish()

    within(recorder, body)
    assert [len(batch) for batch in recorder.announced] == [1, 100, 100, 49]
