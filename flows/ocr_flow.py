"""Count the words of pictures: recognise, count, publish, announce, dispose.

As a command: python -m flows.ocr_flow PICTURE… (see --help). As a deployment: ocr-flow/on-upload.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
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
from inktally.document import Options, Upload
from tasks import ui, wiring

CORES = os.cpu_count() or 1  # more recognitions at once would only be slower

AS_THE_SETTINGS_SAY = Options()
MOST_SHOWN = 25  # pictures of one run whose words and links are shown in the UI


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
    pictures = [Picture.begin(upload, options) for upload in uploads]
    late = _watch_the_deadline(pictures)
    progress = ui.Progress(len(pictures))
    try:
        _process([picture for picture in pictures if picture.outcome is None], progress)
    finally:
        late.cancel()
        for picture in pictures:
            picture.let_go()
    for picture in pictures[:MOST_SHOWN]:
        picture.show()
    return _final_state(pictures)


def _process(pictures: list[Picture], progress: ui.Progress) -> None:
    known = [picture for picture in pictures if picture.is_known]
    new = [picture for picture in pictures if not picture.is_known]
    if new:
        new[0].warm_up()
    futures = {picture.submit(): picture for picture in new}
    for picture in known:
        picture.recall()
    _finish(known, progress)
    for group in _groups(list(futures), wiring.settings().group_seconds):
        recognised = [futures[future] for future in group]
        for future, picture in zip(group, recognised, strict=True):
            picture.take(future)
        _finish(recognised, progress)


def _groups(futures: list[PrefectFuture[Any]], seconds: float) -> Iterator[list[PrefectFuture[Any]]]:
    """The futures as they finish, in groups: one waits at most `seconds` seconds for others."""
    finished: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(finished.put)
    waiting = len(futures)
    while waiting:
        group = [finished.get()]
        end = monotonic() + seconds
        while len(group) < waiting:
            try:
                group.append(finished.get(timeout=max(0.0, end - monotonic())))
            except Empty:
                break
        waiting -= len(group)
        yield group


def _finish(pictures: list[Picture], progress: ui.Progress) -> None:
    Picture.count([picture for picture in pictures if picture.outcome is None])
    for picture in pictures:
        picture.finish()
        progress.advance()


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
    words = sum(outcome.words for outcome in outcomes)
    if broken:
        first = broken[0].summary
        return Failed(
            message=f"{len(broken)} of {len(pictures)} not answered; {first.upload}: {first.error}", data=outcomes
        )
    if rejected:
        get_run_logger().warning("%d of %d pictures could not be read", len(rejected), len(pictures))
        return Completed(name="Rejected", message=f"{len(rejected)} of {len(pictures)} cannot be read", data=outcomes)
    return Completed(message=f"{len(pictures)} answered, {words:,} words", data=outcomes)


if __name__ == "__main__":
    from flows.command_line import main

    sys.exit(main(ocr_flow))
