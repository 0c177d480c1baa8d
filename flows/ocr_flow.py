"""Count the words of pictures: recognise, count, publish, announce, dispose.

As a command: python -m flows.ocr_flow PICTURE… (see --help). As a deployment: ocr-flow/on-upload.
"""

from __future__ import annotations

import sys
from threading import Timer
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.uploads import group
from flows.uploads.picture import Picture
from flows.uploads.pipeline import CORES, Pipeline
from inktally.delivery import Options, Outcome, Upload
from tasks import wiring
from tasks.ending import ended

AS_THE_SETTINGS_SAY = Options()


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
    try:
        with Pipeline(len(pictures)) as pipeline:
            pipeline.run(pictures)
            for picture in pictures:
                if picture.must_wait:
                    pipeline.run([picture], options.wait)
    finally:
        late.cancel()
        for picture in pictures:
            picture.let_go()
    group.show(pictures)
    return ended(_final_state(pictures))


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
    from flows.commands.uploads import main

    sys.exit(main(ocr_flow))
