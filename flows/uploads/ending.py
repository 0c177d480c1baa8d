"""How a run of uploads ends: the state that Prefect shows, with the outcomes of all pictures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

from prefect import State, get_run_logger
from prefect.states import Completed, Failed

from flows.uploads.picture import Picture
from inktally.delivery import Outcome
from tasks import wiring


class NotAnswered(Exception):
    """Why a run has failed, and how all its pictures ended; Prefect logs the message and nothing else."""

    def __init__(self, message: str, outcomes: list[Outcome]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


@contextmanager
def under_way(pictures: Sequence[Picture]) -> Iterator[None]:
    """Within the block uploaders are told when it takes too long; after it no picture is claimed any more."""
    timer = Timer(wiring.settings().deadline_seconds, _tell_it_takes_longer, [pictures])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for picture in pictures:
            picture.let_go()


def _tell_it_takes_longer(pictures: Sequence[Picture]) -> None:
    for picture in pictures:
        picture.tell_it_takes_longer()


def final_state(pictures: Sequence[Picture]) -> State[Any]:
    outcomes = [picture.summary for picture in pictures]
    broken = [picture for picture in pictures if picture.is_our_fault]
    rejected = [picture for picture in pictures if picture.is_rejected]
    if broken:
        first = broken[0]
        message = f"{len(broken)} of {len(pictures)} not answered; {first.summary.upload}: {first.problem}"
        return Failed(message=message, data=NotAnswered(message, outcomes))
    if rejected:
        get_run_logger().warning("%d of %d pictures could not be read", len(rejected), len(pictures))
        return Completed(name="Rejected", message=f"{len(rejected)} of {len(pictures)} cannot be read", data=outcomes)
    answered = [picture.summary for picture in pictures if picture.is_final]
    message = f"{len(answered)} of {len(pictures)} answered, {sum(outcome.words for outcome in answered):,} words"
    if pictures and not answered:
        return Completed(name="NothingToDo", message=f"{message}: gone, or in the hands of another run", data=outcomes)
    return Completed(message=message, data=outcomes)
