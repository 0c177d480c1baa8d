"""Uploads on their way to Prefect: together where they come together, at once where one comes alone.

They wait in memory, in bounded room, until Prefect has taken them. What is lost with the process, the sweep finds.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from itertools import islice
from typing import Literal, Protocol

from inktally.errors import RunsDown
from inktally.intake.events import Arrival
from web.meters import Meters

logger = logging.getLogger(__name__)

MOST = 100  # uploads in one event
ROOM = 10_000  # uploads that may wait
LONGEST_PAUSE = 10  # windows
FIRST_RETRY, LAST_RETRY = 0.5, 30.0  # seconds
REMEMBERED, REMEMBERED_SECONDS = 20_000, 3600.0
FAREWELL_SECONDS = 5.0


class Runs(Protocol):
    """What starts the runs."""

    async def announce(self, arrivals: Sequence[Arrival]) -> None:
        """Have the uploads of one store answered; returns when that has been accepted.

        Raises `RunsDown` when it may work later, another `InktallyError` when it never will.
        """
        ...

    async def is_reachable(self) -> bool: ...


Opened = Callable[[], AbstractAsyncContextManager[Runs]]


class Announcer:
    """Tries until it has worked, with growing pauses; what can never work is left to the sweep."""

    def __init__(self, runs: Runs, meters: Meters, first_retry: float = FIRST_RETRY) -> None:
        self._runs = runs
        self._meters = meters
        self._first_retry = first_retry
        self.is_down = False

    async def announce(self, arrivals: Sequence[Arrival]) -> None:
        delay = self._first_retry
        while True:
            how = await self._try(arrivals)
            self._meters.events.labels(how).inc()
            self.is_down = how == "failed"
            self._meters.down.set(self.is_down)
            if not self.is_down:
                return
            logger.warning("%d uploads wait for Prefect, next try in %.1f s", len(arrivals), delay)
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - so that many do not march in step
            delay = min(2 * delay, LAST_RETRY)

    async def _try(self, arrivals: Sequence[Arrival]) -> Literal["accepted", "failed", "refused"]:
        try:
            await self._runs.announce(arrivals)
        except RunsDown as error:
            logger.warning("%s", error)
            return "failed"
        except Exception:
            logger.exception("%d uploads cannot be announced and are left to the sweep", len(arrivals))
            return "refused"
        return "accepted"


class Outbox:
    """Takes uploads as they come, and announces those of one store together, at most 100 at once.

    The first after a quiet time goes at once. What comes within the window after it goes together, and while more keep
    coming the pauses grow to ten windows, since each event makes a run; full batches follow each other by one window.
    """

    def __init__(self, announcer: Announcer, window: float, meters: Meters) -> None:
        self._announcer = announcer
        self._window = window
        self._waiting: dict[str, Arrival] = {}
        self._announced: OrderedDict[str, float] = OrderedDict()  # id -> when, on the monotonic clock
        self._something = asyncio.Event()
        meters.waiting.set_function(lambda: len(self._waiting))

    def add(self, arrivals: Iterable[Arrival]) -> int:
        """How many were new; others wait already, or were announced within the hour. Raises `RunsDown` when full."""
        self._forget()
        new = {each.id: each for each in arrivals}
        new = {name: each for name, each in new.items() if name not in self._waiting and name not in self._announced}
        if len(self._waiting) + len(new) > ROOM:
            raise RunsDown(f"{len(self._waiting)} uploads wait already.")
        self._waiting.update(new)
        if new:
            self._something.set()
        return len(new)

    async def run(self) -> None:
        """Announce for ever."""
        pause = self._window
        while True:
            quiet = not self._something.is_set()
            await self._something.wait()
            full = await self._announce_next() == MOST
            pause = self._window if quiet or full else min(2 * pause, LONGEST_PAUSE * self._window)
            await asyncio.sleep(pause)

    async def finish(self) -> None:
        """Announce what waits, for a few seconds; the rest is left to the sweep."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                while self._waiting:
                    await self._announce_next()
        if self._waiting:
            logger.error("%d uploads were not announced and are left to the sweep", len(self._waiting))

    async def _announce_next(self) -> int:
        """Announce up to 100 uploads of the store whose turn it is; how many."""
        store = next(iter(self._waiting.values())).upload.store
        batch = dict(islice((item for item in self._waiting.items() if item[1].upload.store == store), MOST))
        await self._announcer.announce(list(batch.values()))
        now = time.monotonic()
        for name in batch:
            del self._waiting[name]
            self._announced[name] = now
        if not self._waiting:
            self._something.clear()
        return len(batch)

    def _forget(self) -> None:
        oldest = time.monotonic() - REMEMBERED_SECONDS
        while self._announced and (len(self._announced) > REMEMBERED or next(iter(self._announced.values())) < oldest):
            self._announced.popitem(last=False)
