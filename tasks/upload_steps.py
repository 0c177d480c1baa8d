"""The steps of uploads as Prefect tasks, each for the pictures of a group together."""

from functools import cache

from prefect import Task, task
from prefect.runtime import task_run

from inktally.delivery import Counting, Receipt
from inktally.steps import counting
from inktally.steps.answering import Answer, Step
from tasks import wiring
from tasks.retrying import RETRIES, for_each


@task(name="count", persist_result=False, **RETRIES)
def count(store: str, receipts: list[Receipt], how: Counting) -> None:
    """Count the words of several pictures in one Spark job."""
    counting.count(wiring.store(store), wiring.counter(), receipts, how)


@cache
def as_task(name: str, step: Step) -> Task[[list[Answer]], list[Answer | Exception]]:
    """A step of inktally/steps/answering.py, taken for several pictures; errors take the place of answers."""

    @task(name=name, description=step.__doc__, task_run_name=_named, persist_result=False, **RETRIES)
    def taken(answers: list[Answer]) -> list[Answer | Exception]:
        return for_each(lambda answer: step(wiring.services(answer.delivery.upload.store), answer), answers)

    return taken


def _named() -> str:
    """The step, and the pictures it is taken for."""
    answers = task_run.parameters["answers"]
    more = f" and {len(answers) - 1} more" if len(answers) > 1 else ""
    return f"{task_run.task_name} {answers[0].delivery.upload.label}{more}"
