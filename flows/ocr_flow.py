"""Count the words of pictures: recognise, count, publish, announce, dispose.

As a command: python -m flows.ocr_flow PICTURE… (see --help). As a deployment: ocr-flow/on-upload.
"""

import sys
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.uploads import group
from flows.uploads.ending import final_state, under_way
from flows.uploads.picture import Picture
from flows.uploads.pipeline import CORES, Pipeline
from inktally.delivery import Options, Upload
from inktally.sandbox.parent import closed_on_interrupt
from inktally.text import printable
from tasks.caching import NOTHING_KEPT
from tasks.ending import ended

AS_THE_SETTINGS_SAY = Options()


def _run_name() -> str:
    uploads = flow_run.parameters.get("uploads") or []
    keys = [upload["key"] if isinstance(upload, dict) else upload.key for upload in uploads]
    first = printable(keys[0].removeprefix("input/")) if keys else "nothing"
    return first if len(keys) <= 1 else f"{first} and {len(keys) - 1} more"


@flow(
    name="ocr-flow",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=CORES),  # type: ignore[arg-type]  # invariant in its future
    **NOTHING_KEPT,
)
def ocr_flow(uploads: list[Upload], options: Options = AS_THE_SETTINGS_SAY) -> State[Any]:
    """Count the words on pictures and tell their uploaders.

    Args:
        uploads: The pictures, each by its key in a store.
        options: Languages, engine, and what becomes of the pictures; what is left out is as the settings say.
    """
    pictures = [Picture.of(upload, options) for upload in uploads]
    with under_way(pictures), Pipeline(count_and_answer, len(pictures)) as pipeline, closed_on_interrupt():
        pipeline.recognise(pictures)
        for picture in pictures:
            if picture.must_wait:
                pipeline.recognise([picture], options.wait)
    group.show(pictures)
    return ended(final_state(pictures))


def count_and_answer(pictures: list[Picture]) -> None:
    """What follows for pictures that were recognised together: each step is one task for all of them."""
    group.count(pictures)
    group.publish(pictures)
    group.announce(pictures)
    group.dispose(pictures)
    group.conclude(pictures)


if __name__ == "__main__":
    from flows.commands.uploads import main

    sys.exit(main(ocr_flow))
