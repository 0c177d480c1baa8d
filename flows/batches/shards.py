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
from typing import Any, Self
from uuid import UUID

from httpx import HTTPError
from prefect import State, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelling, Crashed

from inktally import keys, ports
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.rounds import Share, Tally, attempt_prefix
from inktally.delivery import Options
from inktally.document import Value
from inktally.errors import BadSettings, EngineFailed, Stopped, TransientError
from inktally.lease import leased
from tasks import wiring

logger = logging.getLogger(__name__)

DEPLOYMENT = "batch-shard/on-demand"
NEXT_LOOK, NEXT_QUESTION = 1.0, 5.0  # seconds; the store is looked at, and Prefect is asked
PATIENCE = 60.0  # seconds, for a run that a worker has taken to begin, and for what is away to come back
RUNS_AT_ONCE = 200  # that Prefect's server tells of in one answer
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
def at_work(store: ports.Store, shard: Shard) -> Iterator[Callable[[Tally], None]]:
    """Within the block a shard's run is seen to live; it gives what tells how far it has come.

    Raises `Stopped`, then or within the block, when nobody waits for the shard any more.
    """
    told = 0.0

    def tell(tally: Tally) -> None:
        nonlocal told
        if time.monotonic() - told >= NEXT_LOOK:
            told = time.monotonic()
            _tell(store, shard, tally)

    with leased(store, shard.lock, ttl=wiring.settings().lease_seconds):
        if ports.stat_or_none(store, shard.key("shares")):
            raise Stopped("Another run has done this shard.")
        _tell(store, shard, Tally())
        yield tell


def _tell(store: ports.Store, shard: Shard, tally: Tally) -> None:
    try:
        if ports.stat_or_none(store, shard.begun) is None:
            raise Stopped("The batch that wanted this shard has ended.")
        store.put(shard.key("progress"), tally.model_dump_json().encode())
    except TransientError as error:
        logger.warning("how far the shard is could not be told: %s", error)


def hand_in(store: ports.Store, shard: Shard, share: Share) -> None:
    """Write down that a shard is done."""
    store.put(shard.key("shares"), share.model_dump_json().encode())


def recognised_by_workers(store: ports.Store, shards: Sequence[Shard], tell: Callable[[Tally], None]) -> Share:
    """Have all shards worked on by runs. Raises `BadSettings` where none can be started, `EngineFailed` when one fails
    again and again, and whatever keeps us from watching for longer than a minute."""
    with _wanted(store, shards[0]), get_client(sync_client=True) as client, ShardRuns(store, client) as watch:
        for shard in shards:
            watch.begin(shard)
        while not watch.is_over():
            tell(watch.tally)
            time.sleep(NEXT_LOOK)
    return watch.share


@contextmanager
def _wanted(store: ports.Store, shard: Shard) -> Iterator[None]:
    """Within the block runs of all shards of a batch go on; after it those end that could not be stopped."""
    store.put(shard.begun, b"")
    try:
        yield
    finally:
        with suppress(TransientError):
            store.remove(shard.begun)


class ShardRuns:
    """All shards of a batch, looked at together. Their runs are asked to end when the block ends by an exception."""

    def __init__(self, store: ports.Store, client: SyncPrefectClient) -> None:
        self._store = store
        self._client = client
        self._watched: list[ShardRun] = []
        self._seen = time.monotonic()
        self._asked = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for each in self._watched:
                each.stop(self._client)

    def begin(self, shard: Shard) -> None:
        """Have a run work on a shard. Raises `BadSettings` where there is no deployment for it."""
        self._watched.append(ShardRun(self._store, shard))

    def is_over(self) -> bool:
        """As `look`; while the store or Prefect is away, for a minute, it is not."""
        try:
            is_over, self._seen = self.look(), time.monotonic()
        except (TransientError, HTTPError) as error:
            if isinstance(error, EngineFailed) or time.monotonic() - self._seen > PATIENCE:
                raise
            logger.warning("the shards cannot be looked at now: %s", error)
            return False
        return is_over

    def look(self) -> bool:
        """Whether all are done; runs that will not do theirs any more are replaced."""
        at_work = [each for each in self._watched if not each.is_handed_in()]
        if at_work and time.monotonic() - self._asked >= NEXT_QUESTION:
            states = self._states([each.run for each in at_work])
            self._asked = time.monotonic()
            for each in at_work:
                each.go_on(self._client, states.get(each.run))
        return all(each.share for each in self._watched)

    def _states(self, runs: Sequence[UUID]) -> dict[UUID, State[Any] | None]:
        """Prefect's states of runs, some hundred with one request; a run that somebody has deleted has none."""
        states = {}
        for first in range(0, len(runs), RUNS_AT_ONCE):
            asked = FlowRunFilter(id=FlowRunFilterId(any_=list(runs[first : first + RUNS_AT_ONCE])))
            found = self._client.read_flow_runs(flow_run_filter=asked, limit=RUNS_AT_ONCE)
            states.update({run.id: run.state for run in found})
        return states

    @property
    def tally(self) -> Tally:
        return sum((each.tally for each in self._watched), Tally())

    @property
    def share(self) -> Share:
        return sum((each.share for each in self._watched if each.share), Share())


class ShardRun:
    """A shard, and the run that is at work on it."""

    def __init__(self, store: ports.Store, shard: Shard) -> None:
        self.tally = Tally()
        self.share: Share | None = None
        self._shard = shard
        self._store = store
        self._starts = 0
        self._silent_since: float | None = None
        self._start()

    def is_handed_in(self) -> bool:
        if self.share is None:
            self.share = ports.value_or_none(self._store, self._shard.key("shares"), Share)
            progress = self._shard.key("progress")
            told = self.share.tally if self.share else ports.value_or_none(self._store, progress, Tally)
            self.tally = told or self.tally
        return self.share is not None

    def go_on(self, client: SyncPrefectClient, state: State[Any] | None) -> None:
        """Replace the run, which is in this state, if it has ended without having handed in."""
        if self._has_ended(client, state) and not self.is_handed_in():  # which it may have done just before its end
            logger.warning("shard %d is begun again", self._shard.part.number)
            self._start()

    def stop(self, client: SyncPrefectClient) -> None:
        """Ask the run to end, if it has not. One that cannot be asked ends when it sees that the batch has."""
        if self.share is None:
            try:
                state = client.read_flow_run(self.run).state
                if state is None or not state.is_final():
                    client.set_flow_run_state(self.run, Cancelling())
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
        self.run: UUID = started.id
        self._starts += 1
        self._silent_since = None

    def _has_ended(self, client: SyncPrefectClient, state: State[Any] | None) -> bool:
        """Also one that has fallen silent: it is marked as crashed, so that it takes nobody's place."""
        if state is None or state.is_final():
            reason = state.message if state else "it has been deleted"
            logger.info("the run of shard %d ended: %s", self._shard.part.number, reason)
            return True
        if state.is_scheduled() or not self._is_silent():
            return False
        logger.warning("the run of shard %d has fallen silent", self._shard.part.number)
        client.set_flow_run_state(self.run, Crashed(message="It has fallen silent."), force=True)
        return True

    def _is_silent(self) -> bool:
        """Whether it has held no lease for longer than one lives, or than a worker needs to start it."""
        lease_seconds, now = wiring.settings().lease_seconds, time.monotonic()
        lease = ports.stat_or_none(self._store, self._shard.lock)
        if lease is not None and lease.age <= lease_seconds:
            self._silent_since = None
            return False
        self._silent_since = self._silent_since or now
        return now - self._silent_since > (0 if lease else max(PATIENCE, lease_seconds))
