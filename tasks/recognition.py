"""The task that reads a picture, cached by Prefect (tasks/caching.py): the same for uploads and batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from prefect import State, task
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture
from prefect.tasks import Task

from inktally.delivery import Delivery, Receipt
from inktally.document import Engine
from inktally.ports import Store
from inktally.steps import recognising
from inktally.steps.deliveries import Needs
from tasks import caching, wiring
from tasks.retrying import RETRIES, is_worth_a_retry

RECOGNITION_TAG = "inktally-recognition"  # a concurrency limit of this name holds across all runs and workers


def _is_passing(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Also when a cached receipt in a folder was being written at the moment it was read: that write is not atomic."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, json.JSONDecodeError) or is_worth_a_retry(task, run, state)


@task(
    name="recognise",
    task_run_name="recognise {delivery.upload.short_name}",
    tags=[RECOGNITION_TAG],
    **{**RETRIES, "retry_condition_fn": _is_passing},
)
def recognise(
    store: Store, delivery: Delivery, engine: Engine, when_new: Callable[[], None], *, refresh: bool
) -> dict[str, Any]:
    """Read a picture's words; the receipt, as plain JSON. `when_new` is called when the bytes must be read."""
    recogniser, settings = wiring.recogniser(engine.name), wiring.settings()
    receipt = recognising.recognise(store, recogniser, delivery, engine, settings, refresh=refresh, when_new=when_new)
    return receipt.model_dump(mode="json")


def submit(store: Store, needs: Needs, when_new: Callable[[], None], *, refresh: bool) -> PrefectFuture[Any]:
    """Begin to recognise, in a thread of the task runner."""
    cached = recognise.with_options(
        refresh_cache=refresh or needs.is_cache_bad, **caching.recognition_cache(needs.delivery.upload.store)
    )
    return cached.submit(store, needs.delivery, needs.engine, when_new, refresh=refresh)


def recall(store: Store, needs: Needs) -> Receipt:
    """Take the cached receipt through Prefect, whose UI shows the task as Cached. Raises `BadResult`."""
    cached = recognise.with_options(**caching.recognition_cache(needs.delivery.upload.store))
    result = cached(store, needs.delivery, needs.engine, _nothing, refresh=False)
    return caching.checked_receipt(result, needs.engine)


def _nothing() -> None:
    return
