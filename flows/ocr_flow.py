"""Count the words of pictures: recognise, count, publish, announce, dispose.

As a command: python -m flows.ocr_flow PICTURE… (see --help). As a deployment: ocr-flow/on-upload.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Timer
from time import monotonic
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.picture import Picture
from inktally.document import Options, Outcome, Upload
from tasks import ui, wiring

CORES = os.cpu_count() or 1  # more recognitions at once would only be slower

AS_THE_SETTINGS_SAY = Options()
NEXT_LOOK = 0.05  # seconds
MOST_SHOWN = 25  # pictures of one run whose words and links are shown in the UI


class NotAnswered(Exception):
    """Why a run has failed, and how all its pictures ended; Prefect logs the message and nothing else."""

    def __init__(self, message: str, outcomes: list[Outcome]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


def _run_name() -> str:
    uploads = flow_run.parameters.get("uploads") or []
    keys = [upload["key"] if isinstance(upload, dict) else upload.key for upload in uploads]
    first = keys[0].removeprefix("input/") if keys else "nothing"
    return first if len(keys) <= 1 else f"{first} and {len(keys) - 1} more"


@flow(
    name="ocr-flow",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=CORES),  # type: ignore[arg-type]  # invariant in its future
    persist_result=False,
)
def ocr_flow(uploads: list[Upload], options: Options = AS_THE_SETTINGS_SAY) -> State[Any]:
    """Count the words on pictures and tell their uploaders.

    Args:
        uploads: The pictures, each by its key in a store.
        options: Languages, engine, and what becomes of the pictures; what is left out is as the settings say.
    """
    pictures = [Picture.of(upload, options) for upload in uploads]
    late = _watch_the_deadline(pictures)
    progress = ui.Progress(len(pictures))
    try:
        for picture in pictures:
            picture.begin()
        _process([picture for picture in pictures if not picture.must_wait], progress)
        for picture in pictures:
            if picture.must_wait:
                picture.begin(options.wait)
                _process([picture], progress)
    finally:
        late.cancel()
        for picture in pictures:
            picture.let_go()
    for picture in pictures[:MOST_SHOWN]:
        picture.show()
    return _final_state(pictures)


def _process(pictures: list[Picture], progress: ui.Progress) -> None:
    progress.advance(sum(picture.outcome is not None for picture in pictures))
    pictures = [picture for picture in pictures if picture.outcome is None]
    new = [picture for picture in pictures if not picture.is_known]
    futures = {picture.submit(): picture for picture in new}
    for picture in pictures:
        if picture.is_known:
            picture.recall()
            _finish([picture], progress)
    for group in _groups(futures):
        _finish(group, progress)


def _groups(futures: dict[PrefectFuture[Any], Picture]) -> Iterator[list[Picture]]:
    """The pictures as they are recognised, in groups that are counted together.

    A group is closed when nothing more is to come, or when Spark is there and its first picture has waited for
    INKTALLY_GROUP_SECONDS. A picture that needs no count goes on at once, alone.
    """
    finished: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(finished.put)
    group: list[Picture] = []
    waiting, since = len(futures), 0.0
    while waiting:
        with suppress(Empty):
            picture = futures[future := finished.get(timeout=NEXT_LOOK)]
            waiting -= 1
            picture.take(future)
            if not picture.needs_a_count:
                yield [picture]
            else:
                since = since if group else monotonic()
                group.append(picture)
        if group and (not waiting or _is_due(since)):
            yield group
            group = []


def _is_due(since: float) -> bool:
    return monotonic() - since >= wiring.settings().group_seconds and wiring.counter().is_ready


def _finish(pictures: list[Picture], progress: ui.Progress) -> None:
    Picture.count(pictures)
    for picture in pictures:
        picture.finish()
        progress.advance(1)


def _watch_the_deadline(pictures: list[Picture]) -> Timer:
    def tell() -> None:
        for picture in pictures:
            picture.tell_it_takes_longer()

    timer = Timer(wiring.settings().deadline_seconds, tell)
    timer.daemon = True
    timer.start()
    return timer


def _final_state(pictures: list[Picture]) -> State[Any]:
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


if __name__ == "__main__":
    from flows.command_line import main

    sys.exit(main(ocr_flow))
