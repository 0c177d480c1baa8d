"""The steps of uploads as Prefect tasks, each for the pictures of a group together (inktally/steps/answering.py)."""

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.runtime import task_run

from inktally.delivery import Counting, Receipt
from inktally.steps import answering, counting
from tasks import wiring
from tasks.retrying import RETRIES, for_each


def _named() -> str:
    """The step, and the pictures it is taken for."""
    answers = task_run.parameters["answers"]
    more = f" and {len(answers) - 1} more" if len(answers) > 1 else ""
    return f"{task_run.task_name} {answers[0].delivery.upload.short_name}{more}"


FOR_EACH: dict[str, Any] = {"task_run_name": _named, "persist_result": False, **RETRIES}


@task(name="count", persist_result=False, **RETRIES)
def count(store: str, receipts: list[Receipt], how: Counting) -> None:
    """Count the words of several pictures in one Spark job."""
    counting.count(wiring.store(store), wiring.counter(), receipts, how)


@task(name="publish", **FOR_EACH)
def publish(answers: list[answering.Answer]) -> list[answering.Answer | Exception]:
    """Write the outputs of pictures."""
    return _each(answering.publish, answers)


@task(name="announce", **FOR_EACH)
def announce(answers: list[answering.Answer]) -> list[answering.Answer | Exception]:
    """Mail the counts of pictures, or what is wrong with them."""
    return _each(answering.announce, answers)


@task(name="dispose", **FOR_EACH)
def dispose(answers: list[answering.Answer]) -> list[answering.Answer | Exception]:
    """Keep, archive, delete or set aside pictures."""
    return _each(answering.dispose, answers)


@task(name="answer", **FOR_EACH)
def mark(answers: list[answering.Answer]) -> list[answering.Answer | Exception]:
    """Write down that pictures have been processed."""
    return _each(answering.mark, answers)


def _each(
    step: Callable[[answering.Services, answering.Answer], answering.Answer], answers: list[answering.Answer]
) -> list[answering.Answer | Exception]:
    return for_each(lambda answer: step(wiring.services(answer.delivery.upload.store), answer), answers)
