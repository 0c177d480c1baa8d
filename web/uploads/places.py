"""Places for bodies that come at once: so many in all, and a few of them for one client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException

BODIES_AT_ONCE, OF_ONE_CLIENT = 32, 8
PLACE_SECONDS = 30.0
RETRY_SECONDS = "10"


class Places:
    """Within one event loop. `seconds`: how long whoever finds none waits for one."""

    def __init__(self, seconds: float = PLACE_SECONDS) -> None:
        self._taken: Counter[str] = Counter()
        self._changed = asyncio.Condition()
        self._seconds = seconds

    @asynccontextmanager
    async def one(self, client: str) -> AsyncIterator[None]:
        """Raises `HTTPException` (503)."""
        try:
            async with asyncio.timeout(self._seconds), self._changed:
                await self._changed.wait_for(lambda: self._is_free(client))
                self._taken[client] += 1
        except TimeoutError:
            raise HTTPException(503, headers={"Retry-After": RETRY_SECONDS}) from None
        try:
            yield
        finally:
            await self._leave(client)

    def _is_free(self, client: str) -> bool:
        return self._taken.total() < BODIES_AT_ONCE and self._taken[client] < OF_ONE_CLIENT

    async def _leave(self, client: str) -> None:
        self._taken[client] -= 1
        self._taken += Counter()  # forgets whom none is taken by
        async with self._changed:
            self._changed.notify_all()
