"""Places for bodies that arrive at the same time: a number in total, and a few of them for one client."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from web.refused import Refused

BODIES_AT_ONCE, OF_ONE_CLIENT = 32, 8
PLACE_SECONDS = 10.0
RETRY_SECONDS = "10"


class BodyPlaces:
    """Within one event loop. Who finds no place waits for one, with the body still unread."""

    def __init__(self, at_once: int = BODIES_AT_ONCE) -> None:
        self._at_once = at_once
        self._taken: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def one(self, client: str) -> AsyncIterator[None]:
        """Raises `Refused` (503) when there is still no place after a while."""
        try:
            async with asyncio.timeout(PLACE_SECONDS), self._changed:
                await self._changed.wait_for(
                    lambda: self._taken.total() < self._at_once and self._taken[client] < OF_ONE_CLIENT
                )
                self._taken[client] += 1
        except TimeoutError:
            detail = "Too many pictures are being received at the moment; please try again."
            raise Refused(503, "Busy", detail, {"Retry-After": RETRY_SECONDS}) from None
        try:
            yield
        finally:
            await self._leave(client)

    async def _leave(self, client: str) -> None:
        self._taken[client] -= 1
        self._taken += Counter()  # forgets whom none is taken by
        async with self._changed:
            self._changed.notify_all()
