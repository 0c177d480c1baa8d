"""How a picture that was recognised, or cannot be, gets its answer: publish, announce, dispose, mark.

One `Answer` carries a picture through; each step gives it back with what was done. A single upload takes the steps
as tasks of a run, a picture of a batch all at once: it is the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field

from inktally.delivery import Delivery, Outcome, Problem, Receipt
from inktally.document import CountsDocument, Engine, Value
from inktally.errors import RecipientRefused
from inktally.outputs.layout import Reading
from inktally.ports import Notifier, PdfWriter, Store
from inktally.settings import Settings
from inktally.steps import announcing, counting, disposing, markers, publishing
from inktally.steps.choices import Choices


@dataclass(frozen=True)
class Services:
    """A store, and what is done with its pictures. One of somebody else's has no uploaders, and nobody is mailed."""

    store: Store
    pdf_writer: PdfWriter
    notifier: Notifier
    settings: Settings
    has_uploaders: bool = True


class Answer(Value):
    """A delivery on its way to its outcome: what was read, or why nothing was, and what is asked for."""

    delivery: Delivery
    choices: Choices
    outcome: Outcome
    receipt: Receipt | None = Field(default=None, description="null: the picture cannot be read")
    engine: Engine | None = Field(default=None, description="that read it, where the run knows")

    @classmethod
    def of(
        cls,
        store: Store,
        delivery: Delivery,
        choices: Choices,
        receipt: Receipt | None = None,
        problem: Problem | None = None,
        engine: Engine | None = None,
    ) -> Self:
        """With a receipt, or the problem of a picture that cannot be read."""
        outcome = Outcome(
            upload=store.address(delivery.picture.key),
            etag=delivery.picture.etag,
            cached=receipt is not None and receipt.is_found_by(delivery),
            error=problem,
        )
        return cls(delivery=delivery, choices=choices, outcome=outcome, receipt=receipt, engine=engine)

    def noting(self, **facts: Any) -> Self:
        return self.model_copy(update={"outcome": self.outcome.model_copy(update=facts)})


def publish(services: Services, answer: Answer, reading: Reading | None = None) -> Answer:
    """Write the outputs. `reading` is what they are made of, where it is at hand. Raises `NotFound`, `OutputFailed`."""
    if answer.receipt is None:
        return answer
    store, delivery = services.store, answer.delivery
    reading = reading or counting.reading_of(store, delivery, answer.receipt, answer.choices.counting)
    outputs = publishing.publish(
        store, delivery, reading, answer.choices.outputs, services.pdf_writer, services.settings
    )
    counts = reading.counts
    return answer.noting(
        words=counts.total, distinct=counts.distinct, mean_confidence=counts.mean_confidence, outputs=outputs
    )


def announce(services: Services, answer: Answer, counts: CountsDocument | None = None) -> Answer:
    """Mail the counts, or what is wrong with the picture. A recipient who is refused for good is noted as the error.

    Raises `MailRefused`, and `NotFound` when the counts have gone.
    """
    if not services.has_uploaders:
        return answer
    store, notifier, delivery, settings = services.store, services.notifier, answer.delivery, services.settings
    if answer.receipt is None:
        assert answer.outcome.error is not None, "a picture has a recognition or a problem"
        problem = answer.outcome.error
        return answer.noting(notified=announcing.announce_failure(store, notifier, delivery, problem, settings))
    if counts is None:
        assert answer.engine is not None
        counts = counting.counts_document(store, delivery, answer.engine, answer.receipt, answer.choices.counting)
    try:
        return answer.noting(notified=announcing.announce_counts(store, notifier, delivery, counts, settings))
    except RecipientRefused as error:
        return answer.noting(error=Problem.of(error))


def dispose(services: Services, answer: Answer) -> Answer:
    """Keep, archive, delete or set aside the picture."""
    store, delivery, after = services.store, answer.delivery, answer.choices.after
    if after is None:
        return answer
    if answer.receipt is None:
        assert answer.outcome.error is not None
        disposing.reject(store, delivery, answer.outcome.error)
    else:
        disposing.dispose(store, delivery, answer.outcome.outputs, after, services.settings)
    return answer


def mark(services: Services, answer: Answer) -> Answer:
    """Write down that the delivery is done, and how it ended."""
    markers.answer(services.store, answer.delivery, answer.outcome)
    return answer
