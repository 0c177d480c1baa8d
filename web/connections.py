"""Connections to the servers of the web: how many there are, and how long a client may keep one waiting.

uvicorn waits for the rest of a request's head, and for a client that does not read its answer, without end. Here both
have a deadline. One client, and all of them, may have a number of connections. Who comes when there are so many takes
the place of the connection that has owed us the rest of its request for longest; so whoever sends half a request a
thousand times pushes out his own, and others are served meanwhile. Only when every connection is being answered is a
new one refused (503).

Bodies have deadlines of their own (web/uploads/bodies.py).
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from web.callers import network_of

logger = logging.getLogger(__name__)

CLIENT_SECONDS = 20.0
"""For a request's head, from the connection or the last answer on; and for a client to go on reading an answer."""
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 10\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 22\r\n\r\nToo many connections.\n"
)


class Connections:
    """Those of one server, within its event loop."""

    def __init__(self, most: int, of_one_client: int) -> None:
        self._most = most
        self._of_one_client = of_one_client
        self._number = 0
        self._of: dict[str, dict[Connection, None]] = {}  # client -> its connections, the oldest first

    @property
    def protocol(self) -> Any:
        """What uvicorn makes for each connection."""
        return partial(Connection, self)

    def admit(self, new: "Connection") -> bool:
        """Whether there is room; another connection may be closed for it."""
        own = self._of.get(new.owner, {})
        if len(own) >= self._of_one_client:
            return self._replace(own, new)
        if self._number >= self._most:  # the client with the most connections gives one up
            clients = sorted(self._of.values(), key=lambda connections: -len(connections))
            return self._replace(chain.from_iterable(clients), new)
        self._add(new)
        return True

    def _replace(self, some: Iterable["Connection"], new: "Connection") -> bool:
        found = list(some)
        owing = chain((each for each in found if each.owes_head), (each for each in found if each.owes_body))
        oldest = next(owing, None)
        if oldest is None:
            logger.warning("a connection was refused: all that there may be are being answered")
            return False
        logger.warning("a connection was closed for another: it had not sent the whole of its request")
        self.leave(oldest)
        oldest.drop()
        self._add(new)
        return True

    def _add(self, new: "Connection") -> None:
        self._of.setdefault(new.owner, {})[new] = None
        self._number += 1

    def leave(self, gone: "Connection") -> None:
        """May be said twice."""
        own = self._of.get(gone.owner, {})
        if gone not in own:
            return
        del own[gone]
        self._number -= 1
        if not own:
            del self._of[gone.owner]


class Connection(H11Protocol):
    """One connection, which ends when the client lets it wait for too long."""

    def __init__(self, all_of_them: Connections, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._all = all_of_them
        self._deadline: asyncio.TimerHandle | None = None
        self._is_stalled = False
        self.owner = ""

    @property
    def owes_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def owes_body(self) -> bool:
        return not self.owes_head and self.cycle.more_body

    def drop(self) -> None:
        """At once, whatever is still to be written."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.owner = network_of(self.client[0] if self.client else "")
        if self._all.admit(self):
            self._watch()
        else:
            transport.write(FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.leave(self)
        self._forget_deadline()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        self._is_stalled = True
        self._watch()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._is_stalled = False
        self._watch()
        super().resume_writing()

    def _watch(self) -> None:
        """The time runs while the client has to do something, and no byte of it makes it begin again."""
        if not (self.owes_head or self._is_stalled):
            self._forget_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(CLIENT_SECONDS, self.drop)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
