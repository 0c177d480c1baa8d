"""An exclusive hold on a name, kept in the store, that ends by itself when its holder dies.

A lease is one small object. It is taken by a conditional write, renewed while it is held, and may be taken over once
it has not been renewed for its time to live. Ages are read off the store's clock: with S3 hosts need not agree on
theirs, with a shared folder they must, to within a few seconds.
"""

import json
import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from uuid import uuid4

from inktally.delivery import StoredObject
from inktally.errors import Busy, InktallyError, NotFound, Overwritten
from inktally.ports import Store

logger = logging.getLogger(__name__)

RENEWALS_PER_LIFE = 3
SHORTEST_WAIT, LONGEST_WAIT = 0.02, 1.0


class Lease:
    """One hold, by one holder, on the name `key`; `ttl` is its time to live in seconds."""

    def __init__(self, store: Store, key: str, *, ttl: float) -> None:
        self.key = key
        self._store = store
        self._ttl = ttl
        self._written: StoredObject | None = None
        self.took_over = False
        """Whether the holder before had it to its end, and did not give it up: it has died."""
        self._stands_alone = False
        self._tried: dict[bytes, float] = {}
        """What we have written since the last time that we knew how it went, and when we began to."""
        self._renewed = 0.0
        self._released = Event()
        self._keeper: Thread | None = None

    @property
    def held(self) -> bool:
        """Whether nobody else can have taken it yet."""
        return self._written is not None and time.monotonic() - self._renewed < self._ttl

    def is_kept(self) -> bool:
        """As `held`, but waits for a renewal that is late, for a time to live; not when another holds it."""
        end = time.monotonic() + self._ttl
        while self._written is not None and not self.held and time.monotonic() < end:
            time.sleep(SHORTEST_WAIT)
        return self.held

    def acquire(self, timeout: float | None = None) -> bool:
        """Take it, waiting at most `timeout` seconds (None: for ever); whether it was taken."""
        give_up = None if timeout is None else time.monotonic() + timeout
        wait = SHORTEST_WAIT
        while not self._take():
            if give_up is not None and time.monotonic() + wait > give_up:
                return False
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            wait = min(wait * 2, LONGEST_WAIT)
        self._keeper = Thread(target=self._keep, name=f"lease {self.key}", daemon=True)
        self._keeper.start()
        return True

    def release(self) -> None:
        """Give it up. One that may have been taken by another in the meantime is left alone."""
        self._released.set()
        if self._keeper is not None:
            self._keeper.join()
        if self.held:
            try:
                self._remove()
            except InktallyError as error:
                logger.warning("could not give up %s, which ends in %.0f s: %s", self.key, self._ttl, error)
        self._written = None

    def _remove(self) -> None:
        """Where versions are kept, one that replaced nothing is deleted by its own; else an older one would show."""
        if self._written and self._written.version and self._stands_alone:
            self._store.delete(self._written)
            return
        with suppress(NotFound):
            if self._store.read(self.key) in self._tried:
                self._store.remove(self.key)

    def _take(self) -> bool:
        try:
            self._write(if_absent=True)
        except Overwritten:
            return self._take_over()
        return True

    def _take_over(self) -> bool:
        try:
            found = self._store.stat(self.key)
            if found.age <= self._ttl:
                return False
            self._write(if_match=found.etag)
        except (NotFound, Overwritten):
            return False
        self.took_over = True
        logger.warning("took over %s, whose holder had not renewed it for %.0f s", self.key, found.age)
        return True

    def _write(self, *, if_absent: bool = False, if_match: str = "") -> None:
        content = json.dumps({"holder": uuid4().hex}).encode()
        self._tried[content] = time.monotonic()
        try:
            written = self._store.put(self.key, content, if_absent=if_absent, if_match=if_match)
        except Overwritten:
            found, standing = self._found()
            if found is None or standing not in self._tried:
                del self._tried[content]
                raise
            written, content = found, standing
        self._written, self._renewed = written, self._tried[content]
        self._tried = {content: self._renewed}
        self._stands_alone = if_absent

    def _found(self) -> tuple[StoredObject | None, bytes]:
        """What stands there. It may be ours although a write failed: its answer was lost, or it was sent twice."""
        try:
            return self._store.stat(self.key), self._store.read(self.key)
        except NotFound:
            return None, b""

    def _keep(self) -> None:
        while self._written and not self._released.wait(self._ttl / RENEWALS_PER_LIFE):
            try:
                self._write(if_match=self._written.etag)
            except Overwritten:
                logger.warning("lost %s to another holder", self.key)
                self._written = None
            except InktallyError as error:
                logger.warning("could not renew %s: %s", self.key, error)


@contextmanager
def leased(store: Store, key: str, *, ttl: float, timeout: float | None = None) -> Iterator[Lease]:
    """Hold the lease on `key` within the block. Raises `Busy` when it was not to be had within `timeout` seconds."""
    lease = Lease(store, key, ttl=ttl)
    if not lease.acquire(timeout):
        raise Busy(f"Another run is at work on this ({key}); its result will be there when it has finished.")
    try:
        yield lease
    finally:
        lease.release()
