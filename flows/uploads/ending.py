"""How a run of uploads ends: the state that Prefect shows, with the outcomes of all pictures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

from prefect import State, get_run_logger
from prefect.states import Completed, Failed

from flows.uploads.picture import Picture
from tasks import wiring
from tasks.ending import RunFailed


@contextmanager
def under_way(pictures: Sequence[Picture]) -> Iterator[None]:
    """Within the block uploaders are told when it takes too long; after it no picture is claimed any more."""

    def tell_it_takes_longer() -> None:
        for picture in pictures:
            picture.tell_it_takes_longer()

    timer = Timer(wiring.settings().deadline_seconds, tell_it_takes_longer)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for picture in pictures:
            picture.let_go()


def final_state(pictures: Sequence[Picture]) -> State[Any]:
    outcomes = [picture.summary for picture in pictures]
    broken = [picture for picture in pictures if picture.is_our_fault]
    rejected = [picture for picture in pictures if picture.is_rejected]
    if broken:
        first = broken[0]
        message = f"{len(broken)} of {len(pictures)} not answered; {first.summary.upload}: {first.problem}"
        return Failed(message=message, data=RunFailed(message, outcomes))
    if rejected:
        get_run_logger().warning("%d of %d pictures could not be read", len(rejected), len(pictures))
        return Completed(name="Rejected", message=f"{len(rejected)} of {len(pictures)} cannot be read", data=outcomes)
    answered = [picture.summary for picture in pictures if picture.is_final]
    message = f"{len(answered)} of {len(pictures)} answered, {sum(outcome.words for outcome in answered):,} words"
    if pictures and not answered:
        return Completed(name="NothingToDo", message=f"{message}: gone, or in the hands of another run", data=outcomes)
    return Completed(message=message, data=outcomes)
