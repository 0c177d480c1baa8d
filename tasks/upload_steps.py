"""The steps of uploads as Prefect tasks; what they do stands in inktally/steps/deliveries.py."""

from __future__ import annotations

from typing import Any, NamedTuple

from prefect import task
from prefect.runtime import task_run

from inktally.delivery import After, Counting, Delivery, Outcome, OutputName, Problem, Receipt
from inktally.document import Engine
from inktally.steps import announcing, disposing, markers, publishing, recognising
from inktally.steps import counting as counted
from tasks import wiring
from tasks.retrying import RETRIES, for_each

RECOGNITION_TAG = "inktally-recognition"  # a concurrency limit of this name holds across all runs and workers


class Answer(NamedTuple):
    """A counted picture whose uploader is to be told."""

    delivery: Delivery
    engine: Engine
    receipt: Receipt
    counting: Counting
    outputs: tuple[OutputName, ...]


class Disposal(NamedTuple):
    """A picture whose uploader has been told, what was made of it, and what is to become of it."""

    delivery: Delivery
    outputs: dict[str, str]
    after: After


class Rejection(NamedTuple):
    """A picture that cannot be read, and why."""

    delivery: Delivery
    problem: Problem


class Closing(NamedTuple):
    """A picture that is done, and how it ended."""

    delivery: Delivery
    outcome: Outcome


def _named() -> str:
    """The step, and the pictures it is taken for."""
    items = task_run.parameters["pictures"]
    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    return f"{task_run.task_name} {items[0].delivery.upload.short_name}{more}"


@task(name="recognise", task_run_name="recognise {delivery.upload.short_name}", tags=[RECOGNITION_TAG], **RETRIES)
def recognise(delivery: Delivery, engine: Engine, *, refresh: bool) -> dict[str, Any]:
    """Read a picture's words; the receipt, as plain JSON."""
    store, recogniser = wiring.store(delivery.upload.store), wiring.recogniser(engine.name)
    receipt = recognising.recognise(
        store, recogniser, delivery, engine, wiring.settings(), refresh=refresh, when_new=wiring.counter().warm_up
    )
    return receipt.model_dump(mode="json")


@task(name="count", persist_result=False, **RETRIES)
def count(store: str, receipts: list[Receipt], counting: Counting) -> None:
    """Count the words of several pictures in one Spark job."""
    counted.count(wiring.store(store), wiring.counter(), receipts, counting)


FOR_EACH: dict[str, Any] = {"task_run_name": _named, "persist_result": False, **RETRIES}


@task(name="publish", **FOR_EACH)
def publish(pictures: list[Answer]) -> list[dict[str, str] | Exception]:
    """Write the outputs of pictures; their names and addresses."""
    return for_each(_publish, pictures)


def _publish(picture: Answer) -> dict[str, str]:
    delivery, _, receipt, counting, outputs = picture
    store = wiring.store(delivery.upload.store)
    reading = counted.reading_of(store, delivery, receipt, counting)
    return publishing.publish(store, delivery, reading, outputs, wiring.pdf_writer(), wiring.settings())


@task(name="announce", **FOR_EACH)
def announce(pictures: list[Answer]) -> list[str | Exception | None]:
    """Mail the counts of pictures; the recipients."""
    return for_each(_announce, pictures)


def _announce(picture: Answer) -> str | None:
    store = wiring.store(picture.delivery.upload.store)
    document = counted.counts_document(store, picture.delivery, picture.engine, picture.receipt, picture.counting)
    return announcing.announce_counts(store, wiring.notifier(), picture.delivery, document, wiring.settings())


@task(name="dispose", **FOR_EACH)
def dispose(pictures: list[Disposal]) -> list[Exception | None]:
    """Keep, archive or delete pictures."""
    return for_each(_dispose, pictures)


def _dispose(picture: Disposal) -> None:
    store = wiring.store(picture.delivery.upload.store)
    disposing.dispose(store, picture.delivery, picture.outputs, picture.after, wiring.settings())


@task(name="reject", **FOR_EACH)
def reject(pictures: list[Rejection]) -> list[str | Exception | None]:
    """Tell what is wrong with pictures and move them to failed/; the recipients."""
    return for_each(_reject, pictures)


def _reject(picture: Rejection) -> str | None:
    store = wiring.store(picture.delivery.upload.store)
    recipient = announcing.announce_failure(store, wiring.notifier(), *picture, wiring.settings())
    disposing.reject(store, *picture)
    return recipient


@task(name="answer", **FOR_EACH)
def answer(pictures: list[Closing]) -> list[Exception | None]:
    """Write down that pictures have been answered."""
    return for_each(_answer, pictures)


def _answer(picture: Closing) -> None:
    markers.answer(wiring.store(picture.delivery.upload.store), *picture)
