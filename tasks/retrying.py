"""How often a task is tried again, and how one takes a step for many pictures."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from prefect import State
from prefect.client.schemas.objects import TaskRun
from prefect.context import TaskRunContext
from prefect.tasks import Task, exponential_backoff

from inktally.errors import is_retryable


def _is_worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_retryable(error)


RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_worth_a_retry,
}


def for_each(step: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """As `for_many`, but the error of one that is alone is raised, for Prefect to show."""
    results = for_many(step, items)
    if len(results) == 1 and isinstance(results[0], Exception):
        raise results[0]
    return results


def for_many(step: Callable[[Any], Any], items: Sequence[Any], threads: int = 1) -> list[Any]:
    """Take a step for each, so many at a time; the results, or errors in their place.

    An error that is worth a retry is raised while there are retries: then the step is taken again for all, and finds
    what was done.
    """
    with ThreadPoolExecutor(threads) as pool:  # each with the settings of our own context, which Prefect looks for
        futures = [pool.submit(copy_context().run, _result_or_error, step, item) for item in items]
    results = [future.result() for future in futures]
    context = TaskRunContext.get()
    if context and context.task_run.run_count <= context.task.retries:
        for result in results:
            if isinstance(result, Exception) and is_retryable(result):
                raise result
    return results


def _result_or_error(step: Callable[[Any], Any], item: Any) -> Any:
    try:
        return step(item)
    except Exception as error:  # noqa: BLE001 - the flow decides by its type
        return error
