"""A batch that several workers share: a run for each shard on the work pool, watched until all have handed over.

A shard's run shows that it lives by a lease in the store, and that it is done by a file there. One that has ended
otherwise, or has fallen silent, is started again, and finds in the cache what was recognised before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed

from flows.share import Part
from inktally import keys, steps
from inktally.batch.place import Place
from inktally.batch.rounds import Share, Tally, attempt_prefix
from inktally.document import Options, Value
from inktally.errors import BadSettings, EngineFailed, NotFound
from inktally.lease import leased
from tasks import batch_steps, wiring

logger = logging.getLogger(__name__)

DEPLOYMENT = "batch-shard/on-demand"
NEXT_LOOK = 1.0  # seconds
PATIENCE = 60.0  # seconds, for a run that a worker has taken to begin
V = TypeVar("V", bound=Value)
STARTS = 5  # of one shard, before the batch gives up


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

    def key(self, kind: str) -> str:
        return f"{attempt_prefix(self.place, self.attempt)}{kind}/{self.part.number:04}.json"

    @property
    def lock(self) -> str:
        return keys.batch_lease(f"{self.attempt} {self.part.number}")


@contextmanager
def at_work(shard: Shard) -> Iterator[Callable[[Tally], None]]:
    """Within the block a shard's run is seen to live; it gives what tells how far it has come."""
    store, told = batch_steps.opened(shard.place), 0.0

    def tell(tally: Tally) -> None:
        nonlocal told
        if time.monotonic() - told >= NEXT_LOOK:
            told = time.monotonic()
            store.put(shard.key("progress"), tally.model_dump_json().encode())

    with leased(store, shard.lock, ttl=wiring.settings().lease_seconds):
        yield tell


def hand_in(shard: Shard, share: Share) -> None:
    """Write down that a shard is done."""
    batch_steps.opened(shard.place).put(shard.key("shares"), share.model_dump_json().encode())


def recognised_by_workers(shards: Iterable[Shard], tell: Callable[[Tally], None]) -> Share:
    """Have all shards worked on by runs. Raises `BadSettings` where none can be started, `EngineFailed` when one fails
    again and again."""
    with get_client(sync_client=True) as client:
        watched = [Watched(shard, client) for shard in shards]
        try:
            while any([not each.look() for each in watched]):  # noqa: C419 - all of them are looked at
                tell(sum((each.tally for each in watched), Tally()))
                time.sleep(NEXT_LOOK)
        except BaseException:
            for each in watched:
                each.stop()
            raise
    return sum((each.share for each in watched if each.share), Share())


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
        self._start()

    def look(self) -> bool:
        """Whether the shard is done; a run that will not do it any more is replaced."""
        self.share = self.share or self._read("shares", Share)
        self.tally = self.share.tally if self.share else self._read("progress", Tally) or self.tally
        if self.share is None and self._has_ended():
            self._start()
        return self.share is not None

    def stop(self) -> None:
        """Ask the run to end, if it has not."""
        if self.share is None:
            self._client.set_flow_run_state(self._run, Cancelling(), force=True)

    def _start(self) -> None:
        if self._starts >= STARTS:
            raise EngineFailed(
                f"Shard {self._shard.part.number} was started {STARTS} times, and none of its runs ended well."
            )
        self._starts += 1
        self._silent_since = None
        parameters = {"shard": self._shard.model_dump(mode="json")}
        try:
            started: Any = run_deployment(DEPLOYMENT, parameters=parameters, timeout=0)
        except ObjectNotFound as error:
            raise BadSettings(
                f"There is no deployment {DEPLOYMENT}: --shards needs a Prefect server (PREFECT_API_URL) with the "
                "deployments of `make deploy`, and workers."
            ) from error
        self._run = started.id

    def _has_ended(self) -> bool:
        """Also one that has fallen silent: it is marked as crashed, so that it takes nobody's place."""
        state = self._client.read_flow_run(self._run).state
        if state is None or state.is_scheduled():
            return False
        if state.is_final():
            logger.warning("the run of shard %d ended: %s; another begins", self._shard.part.number, state.message)
            return True
        if not self._is_silent():
            return False
        logger.warning("the run of shard %d has fallen silent; another begins", self._shard.part.number)
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
