"""A batch that several workers share: a run for each shard on the work pool, watched until all have handed over.

A shard's run shows that it lives by a lease in the store, and that it is done by a file there. One that has ended
otherwise, or has fallen silent, is started again, and finds in the cache what was recognised before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from httpx import HTTPError
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelling, Crashed

from inktally import keys, steps
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.rounds import Share, Tally, attempt_prefix
from inktally.document import Options, Value
from inktally.errors import BadSettings, EngineFailed, NotFound, Stopped, TransientError
from inktally.lease import leased
from inktally.ports import Store
from tasks import batch_steps, wiring

logger = logging.getLogger(__name__)

DEPLOYMENT = "batch-shard/on-demand"
NEXT_LOOK = 1.0  # seconds
PATIENCE = 60.0  # seconds, for a run that a worker has taken to begin, and for what is away to come back
V = TypeVar("V", bound=Value)
STARTS = 5  # of one shard, before the batch gives up
FIRST_PAUSE = 2.0  # seconds before the second start; 6, 14 and 30 before those after it


class Shard(Value):
    """A part of a batch's pictures, and the run of the batch that it belongs to."""

    pictures: str
    store: str
    options: Options
    attempt: str
    part: Part = Part()

    def divided(self, shards: int, rate: float) -> list[Shard]:
        parts = [Part(number=number, shares=shards, rate=rate) for number in range(shards)]
        return [self.model_copy(update={"part": part}) for part in parts]

    @property
    def place(self) -> Place:
        return wiring.place(self.pictures, self.store)

    @property
    def begun(self) -> str:
        """What stands there as long as the batch wants its shards."""
        return f"{attempt_prefix(self.place, self.attempt)}begun"

    def key(self, kind: str) -> str:
        return f"{attempt_prefix(self.place, self.attempt)}{kind}/{self.part.number:04}.json"

    @property
    def lock(self) -> str:
        return keys.batch_lease(f"{self.attempt} {self.part.number}")


@contextmanager
def at_work(shard: Shard) -> Iterator[Callable[[Tally], None]]:
    """Within the block a shard's run is seen to live; it gives what tells how far it has come.

    Raises `Stopped`, then or within the block, when nobody waits for the shard any more.
    """
    store, told = batch_steps.opened(shard.place), 0.0

    def tell(tally: Tally) -> None:
        nonlocal told
        if time.monotonic() - told >= NEXT_LOOK:
            told = time.monotonic()
            _tell(store, shard, tally)

    with leased(store, shard.lock, ttl=wiring.settings().lease_seconds):
        if steps.stat_or_none(store, shard.key("shares")):
            raise Stopped("Another run has done this shard.")
        _tell(store, shard, Tally())
        yield tell


def _tell(store: Store, shard: Shard, tally: Tally) -> None:
    try:
        if steps.stat_or_none(store, shard.begun) is None:
            raise Stopped("The batch that wanted this shard has ended.")
        store.put(shard.key("progress"), tally.model_dump_json().encode())
    except TransientError as error:
        logger.warning("how far the shard is could not be told: %s", error)


def hand_in(shard: Shard, share: Share) -> None:
    """Write down that a shard is done."""
    batch_steps.opened(shard.place).put(shard.key("shares"), share.model_dump_json().encode())


def recognised_by_workers(shards: Sequence[Shard], tell: Callable[[Tally], None]) -> Share:
    """Have all shards worked on by runs. Raises `BadSettings` where none can be started, `EngineFailed` when one fails
    again and again, and whatever keeps us from watching for longer than a minute."""
    watched: list[Watched] = []
    with _wanted(shards[0]), get_client(sync_client=True) as client:
        try:
            watched.extend(Watched(shard, client) for shard in shards)
            while any([not each.is_done() for each in watched]):  # noqa: C419 - all of them are looked at
                tell(sum((each.tally for each in watched), Tally()))
                time.sleep(NEXT_LOOK)
        except BaseException:
            for each in watched:
                each.stop()
            raise
    return sum((each.share for each in watched if each.share), Share())


@contextmanager
def _wanted(shard: Shard) -> Iterator[None]:
    """Within the block runs of all shards of a batch go on; after it those end that could not be stopped."""
    store = batch_steps.opened(shard.place)
    store.put(shard.begun, b"")
    try:
        yield
    finally:
        with suppress(TransientError):
            store.remove(shard.begun)


class Watched:
    """A shard, and the run that is at work on it."""

    def __init__(self, shard: Shard, client: SyncPrefectClient) -> None:
        self.tally = Tally()
        self.share: Share | None = None
        self._shard = shard
        self._store = batch_steps.opened(shard.place)
        self._client = client
        self._starts = 0
        self._silent_since: float | None = None
        self._seen = time.monotonic()
        self._start()

    def is_done(self) -> bool:
        """As `look`; while the store or Prefect is away, for a minute, it is not."""
        try:
            done, self._seen = self.look(), time.monotonic()
        except (TransientError, HTTPError) as error:
            if isinstance(error, EngineFailed) or time.monotonic() - self._seen > PATIENCE:
                raise
            logger.warning("shard %d cannot be looked at now: %s", self._shard.part.number, error)
            return False
        return done

    def look(self) -> bool:
        """Whether the shard is done; a run that will not do it any more is replaced."""
        if not self._is_handed_in():
            self.tally = self._read("progress", Tally) or self.tally
            if self._has_ended() and not self._is_handed_in():  # which it may have done just before its end
                logger.warning("shard %d is begun again", self._shard.part.number)
                self._start()
        return self.share is not None

    def _is_handed_in(self) -> bool:
        self.share = self.share or self._read("shares", Share)
        if self.share:
            self.tally = self.share.tally
        return self.share is not None

    def stop(self) -> None:
        """Ask the run to end, if it has not. One that cannot be asked ends when it sees that the batch has."""
        if self.share is None:
            try:
                state = self._client.read_flow_run(self._run).state
                if state is None or not state.is_final():
                    self._client.set_flow_run_state(self._run, Cancelling())
            except (HTTPError, PrefectException) as error:
                logger.warning("the run of shard %d could not be stopped: %s", self._shard.part.number, error)

    def _start(self) -> None:
        if self._starts >= STARTS:
            raise EngineFailed(
                f"Shard {self._shard.part.number} was started {STARTS} times, and none of its runs ended well."
            )
        parameters = {"shard": self._shard.model_dump(mode="json")}
        when = datetime.now(UTC) + timedelta(seconds=FIRST_PAUSE * (2**self._starts - 1))
        try:
            started: Any = run_deployment(DEPLOYMENT, parameters=parameters, scheduled_time=when, timeout=0)
        except ObjectNotFound as error:
            raise BadSettings(
                f"There is no deployment {DEPLOYMENT}: --shards needs a Prefect server (PREFECT_API_URL) with the "
                "deployments of `make deploy`, and workers."
            ) from error
        self._run = started.id
        self._starts += 1
        self._silent_since = None

    def _has_ended(self) -> bool:
        """Also one that has fallen silent: it is marked as crashed, so that it takes nobody's place."""
        state = self._client.read_flow_run(self._run).state
        if state is None or state.is_scheduled():
            return False
        if state.is_final():
            logger.info("the run of shard %d ended: %s", self._shard.part.number, state.message)
            return True
        if not self._is_silent():
            return False
        logger.warning("the run of shard %d has fallen silent", self._shard.part.number)
        self._client.set_flow_run_state(self._run, Crashed(message="It has fallen silent."), force=True)
        return True

    def _is_silent(self) -> bool:
        """Whether it has held no lease for longer than one lives, or than a worker needs to start it."""
        lease_seconds, now = wiring.settings().lease_seconds, time.monotonic()
        lease = steps.stat_or_none(self._store, self._shard.lock)
        if lease is not None and lease.age <= lease_seconds:
            self._silent_since = None
            return False
        self._silent_since = self._silent_since or now
        return now - self._silent_since > (0 if lease else max(PATIENCE, lease_seconds))

    def _read(self, kind: str, value: type[V]) -> V | None:
        try:
            return value.model_validate_json(self._store.read(self._shard.key(kind)))
        except NotFound:
            return None
