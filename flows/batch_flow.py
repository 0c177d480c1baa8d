"""Count the words of all pictures below a prefix or in a folder, in one Spark job.

As a command: python -m flows.batch_flow s3://bucket/prefix/ | FOLDER (see --help). As a deployment:
batch-flow/on-demand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.shards import Shard, at_work, hand_in, recognised_by_workers
from flows.share import READERS, Part, Work
from inktally import keys, sandbox
from inktally.batch import rounds
from inktally.batch.place import Place
from inktally.batch.progress import Progress
from inktally.batch.rounds import Round, Share, Tally
from inktally.batch.summary import Summary
from inktally.choices import counting_for
from inktally.document import Counting, Options
from inktally.errors import InktallyError
from inktally.lease import leased
from inktally.outputs import chosen
from tasks import batch_steps, ui, wiring

AS_THE_SETTINGS_SAY = Options()


class BatchFailed(Exception):
    """Why a run has failed, and how far it came; Prefect logs the message and nothing else."""

    def __init__(self, message: str, summary: Summary) -> None:
        super().__init__(message)
        self.summary = summary


@flow(
    name="batch-flow",
    flow_run_name="batch {pictures}",
    task_runner=ThreadPoolTaskRunner(max_workers=READERS),  # type: ignore[arg-type]  # invariant in its future
    persist_result=False,
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
        with _alone(place), _sandbox_closed_on_interrupt():
            return _final_state(_batch(place, options, shards, rate))
    except InktallyError as error:
        return Failed(message=f"{error} The next run goes on where this one stopped.", data=error)


def _batch(place: Place, options: Options, shards: int, rate: float) -> Summary:
    store, seconds = batch_steps.opened(place), dict[str, float]()
    counted = left = rounds.counted_round(store, place)
    if counted is None:
        rounds.clear(store, place)
        with _timed(seconds, "recognise"):
            share = _recognised(place, options, shards, rate)
        counted = Round(attempt=str(flow_run.id), options=options, share=share)
        if share.handed.pictures:
            with _timed(seconds, "count"):
                _count(place, counted)
    summary = Summary(tally=counted.share.tally, failures=counted.share.failures)
    if counted.share.handed.pictures:
        with _timed(seconds, "answer"):
            summary = _answer(place, counted)
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
    with at_work(shard) as tell, _sandbox_closed_on_interrupt():
        folder = f"{shard.part.number:04}-{flow_run.id}/"
        share = Work(shard.place, shard.options, shard.attempt, folder, shard.part, tell=tell).run()
        hand_in(shard, share)
    return Completed(message=f"{share.tally.looked_at:,} pictures", data=share.tally)


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Raises `Busy` when another run is at work on the same place."""
    store, settings = batch_steps.opened(place), wiring.settings()
    with leased(store, keys.batch_lease(place.name), ttl=settings.lease_seconds, timeout=settings.lease_seconds):
        yield


@contextmanager
def _sandbox_closed_on_interrupt() -> Iterator[None]:
    """Whoever interrupts us waits for our end."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            sandbox.close_all()
        raise


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = monotonic()
    yield
    seconds[step] = round(monotonic() - begun, 3)


def _recognised(place: Place, options: Options, shards: int, rate: float) -> Share:
    progress, bar, attempt = Progress(place.pictures(batch_steps.opened(place))), ui.Progress(), str(flow_run.id)

    def tell(tally: Tally) -> None:
        progress.tell("recognising", tally.looked_at, tally.answered_before)
        bar.show(tally.looked_at, progress.total or 0)

    if shards > 1:
        whole = Shard(pictures=place.address, store=place.store, options=options, attempt=attempt)
        return recognised_by_workers(whole.divided(shards, rate), tell)
    return Work(place, options, attempt, "", Part(rate=rate), tell=tell).run()


def _count(place: Place, counted: Round) -> None:
    """Written down when it is done, so that no later run repeats it."""
    into = counted.counted(place)
    batch_steps.count(place, counted.share.handed, into)
    batch_steps.keep_counts(place, into, _counting(counted.options))
    rounds.keep(batch_steps.opened(place), place, counted)


def _answer(place: Place, counted: Round) -> Summary:
    """A few files of pictures at a time, whatever their number."""
    outputs = chosen(counted.options.outputs or wiring.settings().outputs)
    share = counted.share
    progress = Progress(range(share.tally.handed_over))
    for pictures in share.handed.pictures:
        share += batch_steps.answer(place, pictures, _counting(counted.options), outputs)
        progress.tell("answering", share.tally.answered + share.tally.unanswered)
    summary = batch_steps.report(place, counted.counted(place), share)
    ui.show_batch(summary, return_state=True)
    return summary


def _counting(options: Options) -> Counting:
    return counting_for(options, wiring.settings())


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
        return Failed(message=message, data=BatchFailed(message, summary))
    return Completed(name="Rejected" if tally.rejected else "Completed", message=message, data=summary)


if __name__ == "__main__":
    from flows.batch_command import main

    sys.exit(main(batch_flow))
