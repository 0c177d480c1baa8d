"""Waiting for the answer to an upload: by looking at its marker in the store, which whoever reads it writes."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from fastapi.concurrency import run_in_threadpool

from inktally.delivery import Delivery
from inktally.ports import Store
from inktally.steps import markers

FIRST_LOOK, LONGEST_LOOK = 0.05, 0.5  # seconds between two looks
MOST_WAITING = 64
ASYNCHRONOUS = re.compile(r"\brespond-async\b", re.IGNORECASE)
WAIT = re.compile(r'\bwait\s*=\s*"?(\d{1,4})\b', re.IGNORECASE)


class Waiting:
    """Waits for answers, for a bounded number of clients at once; the others are told to come again."""

    def __init__(self, store: Store, longest: float) -> None:
        self._store = store
        self._longest = longest
        self._waiting = 0

    def seconds(self, prefer: str) -> float | None:
        """What a client prefers (RFC 7240: respond-async, wait=10); None when it does not say."""
        if ASYNCHRONOUS.search(prefer):
            return 0.0
        asked = WAIT.search(prefer)
        return min(float(asked[1]), self._longest) if asked else None

    async def until_answered(
        self, delivery: Delivery, seconds: float | None, has_gone: Callable[[], Awaitable[bool]]
    ) -> None:
        """Until there is an answer, the time is over, the client has gone, or too many wait already."""
        end = time.monotonic() + (self._longest if seconds is None else seconds)
        pause = FIRST_LOOK
        self._waiting += 1
        try:
            while self._waiting <= MOST_WAITING and time.monotonic() < end:
                if await run_in_threadpool(markers.is_answered, self._store, delivery) or await has_gone():
                    return
                await asyncio.sleep(min(pause, max(0.0, end - time.monotonic())))
                pause = min(pause * 1.5, LONGEST_LOOK)
        finally:
            self._waiting -= 1
