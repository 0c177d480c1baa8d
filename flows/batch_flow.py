"""Count the words of all pictures below a prefix or in a folder, in one Spark job.

As a command: python -m flows.batch_flow s3://bucket/prefix/ | FOLDER (see --help). As a deployment:
batch-flow/on-demand.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.batches.shards import Shard, at_work, hand_in, recognised_by_workers
from flows.batches.work import READERS, Work
from inktally import keys
from inktally.batch import rounds
from inktally.batch.handover import sorted_keys
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.progress import BatchProgress
from inktally.batch.summary import Summary
from inktally.delivery import Options
from inktally.errors import Busy, InktallyError, Stopped
from inktally.lease import Lease, leased
from inktally.ports import Store
from inktally.sandbox.parent import closed_on_interrupt
from inktally.steps.choices import Choices
from tasks import batch_steps, ui, wiring
from tasks.caching import NOTHING_KEPT
from tasks.ending import RunFailed, ended

AS_THE_SETTINGS_SAY = Options()
PATIENCE_SECONDS = 5.0
"""Beyond the lease of a run that was killed, so that it is not waited for in vain."""


@flow(
    name="batch-flow",
    flow_run_name="batch {pictures}",
    task_runner=ThreadPoolTaskRunner(max_workers=READERS),  # type: ignore[arg-type]  # invariant in its future
    **NOTHING_KEPT,
)
def batch_flow(
    pictures: str, store: str = "", options: Options = AS_THE_SETTINGS_SAY, shards: int = 1, rate: float = 0.0
) -> State[Any]:
    """Recognise all pictures of a place that have no answer yet, count them in one Spark job, and answer them.

    Args:
        pictures: Where they lie: s3://bucket/prefix/ or a folder of the worker.
        store: Where results go: s3://bucket or a folder; empty: where the worker's settings say.
        options: Languages, engine, outputs; what is left out is as the settings say. Pictures are always kept.
        shards: How many runs share the recognition; more than one are given to the workers of the work pool.
        rate: How many pictures a second are begun at most; 0: as many as can be.
    """
    try:
        place = wiring.place(pictures, store)
        opened = place.opened(wiring.settings())
        with _alone(opened, place) as lease, closed_on_interrupt():
            return ended(_final_state(_batch(opened, place, lease, options, shards, rate)))
    except InktallyError as error:
        return ended(Failed(message=f"{error} The next run goes on where this one stopped.", data=error))


def _batch(store: Store, place: Place, lease: Lease, options: Options, shards: int, rate: float) -> Summary:
    seconds = dict[str, float]()
    place.refuse_names_of_others(store)
    Choices.of(options, wiring.settings(), {})  # what cannot be done is said before anything is
    counted = left = rounds.counted_round(store, place)
    if counted is None:
        rounds.clear(store, place)
        with _timed(seconds, "recognise"):
            share = _recognised(store, place, options, shards, rate)
        counted = rounds.Round(attempt=str(flow_run.id), options=options, share=share)
        if share.handed.pictures:
            with _timed(seconds, "count"):
                counted = _count(store, place, lease, counted)
    summary = Summary(tally=counted.share.tally, failures=counted.share.failures)
    if counted.share.handed.pictures:
        with _timed(seconds, "answer"):
            summary = _answer(store, place, counted)
    if lease.is_kept():  # else the next run has cleared it away, and goes by the same names
        rounds.clear(store, place)
    return summary.model_copy(update={"seconds": seconds, "resumed": left is not None})


@flow(
    name="batch-shard",
    flow_run_name="shard {shard.part.number} of {shard.part.shares}",
    task_runner=ThreadPoolTaskRunner(max_workers=READERS),  # type: ignore[arg-type]  # invariant in its future
    persist_result=False,
)
def batch_shard(shard: Shard) -> State[Any]:
    """Recognise one share of a batch's pictures, for the batch that asks for it."""
    try:
        store = shard.place.opened(wiring.settings())
        with at_work(store, shard) as tell, closed_on_interrupt():
            folder = f"{shard.part.number:04}-{flow_run.id}/"
            share = Work(store, shard.place, shard.options, shard.attempt, folder, shard.part, tell=tell).run()
            hand_in(store, shard, share)
    except Stopped as error:
        return Completed(name="Left", message=str(error))
    return Completed(message=f"{share.tally.looked_at:,} pictures", data=share.tally)


def _alone(store: Store, place: Place) -> AbstractContextManager[Lease]:
    """Raises `Busy` when another run is at work on the same place."""
    ttl = wiring.settings().lease_seconds
    return leased(store, keys.batch_lease(place.name), ttl=ttl, timeout=ttl + PATIENCE_SECONDS)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = monotonic()
    yield
    seconds[step] = round(monotonic() - begun, 3)


def _recognised(store: Store, place: Place, options: Options, shards: int, rate: float) -> rounds.Share:
    progress, bar, attempt = BatchProgress(place.pictures(store)), ui.ProgressArtifact(), str(flow_run.id)

    def tell(tally: rounds.Tally) -> None:
        progress.tell("recognising", tally.looked_at, tally.answered_before)
        bar.show(tally.looked_at, progress.total or 0)
        if tally.recognised or tally.known:  # there will be something to count
            wiring.counter_of_parts().warm_up()

    if shards > 1:
        batch = Shard(pictures=place.address, store=place.store, options=options, attempt=attempt)
        return recognised_by_workers(store, batch.divided(shards, rate), tell)
    return Work(store, place, options, attempt, "", Part(rate=rate), tell=tell).run()


def _count(store: Store, place: Place, lease: Lease, counted: rounds.Round) -> rounds.Round:
    """Written down when it is done, so that no later run repeats it. Raises `Busy` when another has begun meanwhile."""
    into = counted.counted(place)
    batch_steps.count(store, counted.share.handed, into)
    batch_steps.keep_batch_counts(store, into, _choices(counted).counting)
    if not lease.is_kept():
        raise Busy("The store was away for so long that another run has taken over, or may; nothing was answered.")
    counted = counted.model_copy(update={"totals": tuple(sorted_keys(store, f"{into}totals/"))})
    rounds.keep(store, place, counted)
    return counted


def _answer(store: Store, place: Place, counted: rounds.Round) -> Summary:
    """A file of pictures at a time, whatever their number."""
    services = batch_steps.whole(wiring.services_of_batch(store, has_uploaders=not place.mount))
    choices, share, done = _choices(counted), counted.share, rounds.Share()
    progress = BatchProgress(range(share.tally.handed_over))
    for pictures in share.handed.pictures:
        done += batch_steps.answer(services, choices, pictures)
        progress.tell("answering", done.tally.answered + done.tally.unanswered)
    summary = batch_steps.report(store, place, counted.totals, share + done)
    ui.show_batch(summary, return_state=True)
    return summary


def _choices(counted: rounds.Round) -> Choices:
    return Choices.of(counted.options, wiring.settings(), {})


def _final_state(summary: Summary) -> State[Any]:
    tally = summary.tally
    message = f"{tally.answered:,} of {tally.looked_at:,} pictures answered, {tally.words:,} words"
    if tally.answered_before:
        message += f"; {tally.answered_before:,} had an answer before"
    if summary.resumed:
        message += "; they were counted by a run that had been stopped"
    lost = tally.failed + tally.unanswered
    if lost:
        message = f"{lost:,} pictures not answered; {message}"
        return Failed(message=message, data=RunFailed(message, summary))
    return Completed(name="Rejected" if tally.rejected else "Completed", message=message, data=summary)


if __name__ == "__main__":
    from flows.commands.batch import main

    sys.exit(main(batch_flow))
