"""How a picture that was recognised, or cannot be, gets its answer: publish, announce, dispose, mark.

One `Answer` carries a picture through; each step gives it back with what was done. A single upload takes the steps
as tasks of a run, a picture of a batch all at once: it is the same code.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field

from inktally.delivery import Delivery, Outcome, Problem, Receipt
from inktally.document import CountsDocument, Engine, Value, WordCounts
from inktally.errors import RecipientRefused
from inktally.outputs.shared.layout import Reading
from inktally.ports import Notifier, PdfWriter, Store
from inktally.settings import Settings
from inktally.steps import announcing, counting, disposing, markers, publishing
from inktally.steps.choices import Choices

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """A store, and what is done with its pictures. Without uploaders nobody is mailed; a batch moves no pictures."""

    store: Store
    pdf_writer: PdfWriter
    notifier: Notifier
    settings: Settings
    has_uploaders: bool = True
    moves_pictures: bool = True


class Recognised(Value):
    """What a picture was read as, and what is asked for it."""

    receipt: Receipt
    choices: Choices
    engine: Engine | None = Field(default=None, description="that read it, where the run knows")


class Answer(Value):
    """A delivery on its way to its outcome. One that could not be read has the reason in its outcome."""

    delivery: Delivery
    outcome: Outcome
    recognised: Recognised | None = None

    @classmethod
    def of_read(
        cls, store: Store, delivery: Delivery, receipt: Receipt, choices: Choices, engine: Engine | None = None
    ) -> Self:
        recognised = Recognised(receipt=receipt, choices=choices, engine=engine)
        is_cached = receipt.is_found_by(delivery)
        outcome = Outcome(
            upload=store.address(delivery.picture.key),
            etag=delivery.picture.etag,
            cached=is_cached,
            warnings=receipt.warnings,
            seconds={} if is_cached else {"recognise": receipt.seconds},
        )
        return cls(delivery=delivery, outcome=outcome, recognised=recognised)

    @classmethod
    def of_unreadable(cls, store: Store, delivery: Delivery, problem: Problem) -> Self:
        address = store.address(delivery.picture.key)
        return cls(delivery=delivery, outcome=Outcome(upload=address, etag=delivery.picture.etag, error=problem))

    def noting(self, **facts: Any) -> Self:
        return self.model_copy(update={"outcome": self.outcome.model_copy(update=facts)})

    def counted(self, counts: WordCounts | CountsDocument) -> Self:
        return self.noting(words=counts.total, distinct=counts.distinct, mean_confidence=counts.mean_confidence)


Step = Callable[[Services, Answer], Answer]


def publish(services: Services, answer: Answer, reading: Reading | None = None) -> Answer:
    """Write the outputs. `reading` is what they are made of, where it is at hand. Raises `NotFound`, `OutputFailed`."""
    store, delivery, recognised = services.store, answer.delivery, answer.recognised
    if recognised is None:
        return answer
    reading = reading or counting.reading_of(store, delivery, recognised.receipt, recognised.choices.counting)
    wanted = recognised.choices.outputs
    done = publishing.publish(store, delivery, reading, wanted, services.pdf_writer, services.settings)
    warnings = done.warnings or answer.outcome.warnings
    return answer.counted(reading.counts).noting(outputs=done.outputs, warnings=warnings)


def announce(services: Services, answer: Answer, counts: CountsDocument | None = None) -> Answer:
    """Mail the counts, or what is wrong with the picture. A recipient who is refused for good is noted as the error.

    Raises `MailRefused`, and `NotFound` when the counts have gone.
    """
    if not services.has_uploaders:
        return answer
    store, notifier, delivery, settings = services.store, services.notifier, answer.delivery, services.settings
    recognised = answer.recognised
    if recognised is None:
        problem = _problem(answer)
        return answer.noting(notified=announcing.announce_failure(store, notifier, delivery, problem, settings))
    if counts is None:
        assert recognised.engine is not None, "only a run that knows the engine has the counts looked up"
        receipt, how = recognised.receipt, recognised.choices.counting
        counts = counting.counts_document(store, delivery, recognised.engine, receipt, how)
    counts = counts.model_copy(update={"warnings": answer.outcome.warnings})
    try:
        return answer.noting(notified=announcing.announce_counts(store, notifier, delivery, counts, settings))
    except RecipientRefused as error:
        logger.warning("the uploader of %s cannot be notified: %s", delivery.upload.key, error)
        return answer.noting(error=Problem.of(error))


def dispose(services: Services, answer: Answer) -> Answer:
    """Keep, archive, delete or set aside the picture."""
    store, delivery = services.store, answer.delivery
    if not services.moves_pictures:
        return answer
    if answer.recognised is None:
        disposing.reject(store, delivery, _problem(answer))
    else:
        after = answer.recognised.choices.after
        disposing.dispose(store, delivery, answer.outcome.outputs, after, services.settings)
    return answer


def mark(services: Services, answer: Answer) -> Answer:
    """Write down that the delivery is done, and how it ended."""
    markers.mark_answered(services.store, answer.delivery, answer.outcome)
    return answer


def _problem(answer: Answer) -> Problem:
    assert answer.outcome.error is not None, "a picture was read, or has a problem"
    return answer.outcome.error
