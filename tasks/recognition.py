"""The task that reads a picture, cached by Prefect (tasks/caching.py): the same for uploads and batches."""

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.futures import PrefectFuture

from inktally.delivery import Delivery, Receipt
from inktally.document import Engine
from inktally.ports import Store
from inktally.steps import recognising
from inktally.steps.deliveries import Needs
from tasks import caching, ui, wiring
from tasks.retrying import RETRIES

RECOGNITION_TAG = "inktally-recognition"  # a concurrency limit of this name holds across all runs and workers


@task(
    name="recognise",
    task_run_name="recognise {delivery.upload.label}",
    tags=[RECOGNITION_TAG],
    **RETRIES,
)
def recognise(
    store: Store, delivery: Delivery, engine: Engine, when_new: Callable[[], None] = lambda: None, *, refresh: bool
) -> dict[str, Any]:
    """Read a picture's words; the receipt, as plain JSON. `when_new` is called when the bytes must be read."""
    recogniser, settings = wiring.recogniser(engine.name), wiring.settings()
    when_read = ui.PageProgress(delivery.upload.name).show
    receipt = recognising.recognise(
        store, recogniser, delivery, engine, settings, refresh=refresh, when_new=when_new, when_read=when_read
    )
    return receipt.model_dump(mode="json")


def submit(store: Store, needs: Needs, when_new: Callable[[], None], *, refresh: bool) -> PrefectFuture[Any]:
    """Begin to recognise, in a thread of the task runner.

    What Prefect has cached in the meantime may be of another picture with the same ETag: only the bytes tell.
    """
    cached = recognise.with_options(refresh_cache=True, **caching.recognition_cache(needs.delivery.upload.store))
    return cached.submit(store, needs.delivery, needs.engine, when_new, refresh=refresh)


def recall(store: Store, needs: Needs) -> Receipt:
    """Take the cached receipt through Prefect, whose UI shows the task as Cached. Raises as `receipt_of` does."""
    cached = recognise.with_options(**caching.recognition_cache(needs.delivery.upload.store))
    found = receipt_of(cached(store, needs.delivery, needs.engine, refresh=False), needs)
    if needs.receipt is not None and needs.receipt.content != found.content:
        return needs.receipt  # another picture with this ETag was read meanwhile
    return found


def receipt_of(result: object, needs: Needs) -> Receipt:
    """What the task gave. Raises the exception that it ended with, and `BadResult` for what is no receipt of ours."""
    if isinstance(result, BaseException):
        raise result
    return caching.checked_receipt(result, needs.engine)
