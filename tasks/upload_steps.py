"""The steps of one upload as Prefect tasks; what they do stands in inktally/steps.py."""

from __future__ import annotations

from typing import Any

from prefect import State, task
from prefect.client.schemas.objects import TaskRun
from prefect.tasks import Task, exponential_backoff

from inktally import steps
from inktally.document import After, Counting, Delivery, Engine, Outcome, Problem, Receipt
from inktally.errors import is_retryable
from tasks import wiring

RECOGNITION_TAG = "inktally-recognition"  # a concurrency limit of this name holds across all runs and workers


def _is_worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_retryable(error)


RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_worth_a_retry,
}


@task(name="recognise", task_run_name="recognise {delivery.upload.short_name}", tags=[RECOGNITION_TAG], **RETRIES)
def recognise(delivery: Delivery, engine: Engine, *, refresh: bool) -> dict[str, Any]:
    """Read a picture's words; the receipt, as plain JSON."""
    store, recogniser = wiring.store(delivery.upload.store), wiring.recogniser(engine.name)
    receipt = steps.recognise(
        store, recogniser, delivery, engine, wiring.settings(), refresh=refresh, when_new=wiring.counter().warm_up
    )
    return receipt.model_dump(mode="json")


@task(name="count", persist_result=False, **RETRIES)
def count(store: str, receipts: list[Receipt], counting: Counting) -> None:
    """Count the words of several pictures in one Spark job."""
    steps.count(wiring.store(store), wiring.counter(), receipts, counting)


@task(name="publish", task_run_name="publish {delivery.upload.short_name}", persist_result=False, **RETRIES)
def publish(delivery: Delivery, receipt: Receipt, counting: Counting) -> dict[str, str]:
    """Write a picture's outputs; their names and addresses."""
    return steps.publish(wiring.store(delivery.upload.store), delivery, receipt, counting)


@task(name="announce", task_run_name="announce {delivery.upload.short_name}", persist_result=False, **RETRIES)
def announce(delivery: Delivery, engine: Engine, receipt: Receipt, counting: Counting) -> str | None:
    """Mail a picture's counts; the recipient."""
    store = wiring.store(delivery.upload.store)
    document = steps.counts_document(store, delivery, engine, receipt, counting)
    return steps.announce_counts(store, wiring.notifier(), delivery, document, wiring.settings())


@task(name="dispose", task_run_name="dispose {delivery.upload.short_name}", persist_result=False, **RETRIES)
def dispose(delivery: Delivery, outputs: dict[str, str], after: After) -> None:
    """Keep, archive or delete the picture."""
    steps.dispose(wiring.store(delivery.upload.store), delivery, outputs, after, wiring.settings())


@task(name="reject", task_run_name="reject {delivery.upload.short_name}", persist_result=False, **RETRIES)
def reject(delivery: Delivery, problem: Problem) -> str | None:
    """Tell what is wrong with a picture and move it to failed/; the recipient."""
    store = wiring.store(delivery.upload.store)
    recipient = steps.announce_failure(store, wiring.notifier(), delivery, problem, wiring.settings())
    steps.reject(store, delivery, problem)
    return recipient


@task(name="answer", task_run_name="answer {delivery.upload.short_name}", persist_result=False, **RETRIES)
def answer(delivery: Delivery, outcome: Outcome) -> None:
    """Write down that a picture has been answered."""
    steps.answer(wiring.store(delivery.upload.store), delivery, outcome)
