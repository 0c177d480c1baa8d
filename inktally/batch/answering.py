"""How the counted pictures of a batch are answered: those of one content together, each at most once."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from threading import Lock

from inktally import keys
from inktally.batch.handover import Entry
from inktally.delivery import Outcome, Problem
from inktally.errors import Busy, InktallyError, PictureError
from inktally.lease import leased
from inktally.outputs.shared.layout import Reading
from inktally.steps import announcing, answering, attempts, counting, markers
from inktally.steps.choices import Choices

MANY_WORDS = 20_000
"""Of a document that is answered alone: at the limit, 200,000 words, it takes 1 GB of memory."""
_alone = Lock()


def answer_document(services: answering.Services, choices: Choices, entries: Sequence[Entry]) -> list[Outcome]:
    """How the pictures of one document ended, now or before; its recognition is read at most once.

    Those that another run is processing are left out.
    """
    is_large = any(entry.receipt and entry.receipt.words > MANY_WORDS for entry in entries)
    with _alone if is_large else nullcontext():
        return _outcomes(services, choices, entries)


def _outcomes(services: answering.Services, choices: Choices, entries: Sequence[Entry]) -> list[Outcome]:
    reading: Reading | None = None
    outcomes = []
    for entry in entries:
        outcome = markers.outcome_of(services.store, entry.delivery)
        if outcome is None:
            if entry.receipt is not None:
                if reading is None:
                    reading = counting.reading_of(services.store, entry.delivery, entry.receipt, choices.counting)
                else:
                    reading = replace(
                        reading, counts=counting.counts_for(services.store, entry.delivery, reading.counts)
                    )
            outcome = _answered(services, choices, entry, reading)
        outcomes.append(outcome)
    return [outcome for outcome in outcomes if outcome is not None]


def set_aside(
    services: answering.Services, choices: Choices, entries: Sequence[Entry], error: Exception
) -> list[Outcome] | Exception:
    """Note down that answering the pictures of a document has failed; their outcomes when it was one time too many."""
    problems = [attempts.failed(services.store, entry.delivery, error, services.settings) for entry in entries]
    if not all(isinstance(problem, PictureError) for problem in problems):
        return error
    unreadable = [Entry(delivery=entry.delivery, problem=Problem.of(problems[0])) for entry in entries]
    try:
        return answer_document(services, choices, unreadable)
    except InktallyError as unanswered:
        return unanswered


def _answered(services: answering.Services, choices: Choices, entry: Entry, reading: Reading | None) -> Outcome | None:
    """Under a claim where somebody is mailed; None when another run has that."""
    if not services.has_uploaders or not announcing.recipient_of(services.store, entry.delivery):
        return _answer(services, choices, entry, reading)
    claim = keys.marker(entry.delivery.id, "claim")
    try:
        with leased(services.store, claim, ttl=services.settings.lease_seconds, timeout=0):
            before = markers.outcome_of(services.store, entry.delivery)
            return before or _answer(services, choices, entry, reading)
    except Busy:
        return None


def _answer(services: answering.Services, choices: Choices, entry: Entry, reading: Reading | None) -> Outcome:
    if entry.receipt is not None:
        answer = answering.Answer.of_read(services.store, entry.delivery, entry.receipt, choices)
    else:
        assert entry.problem is not None, "a picture was read, or has a problem"
        answer = answering.Answer.of_unreadable(services.store, entry.delivery, entry.problem)
    answer = answering.publish(services, answer, reading)
    answer = answering.announce(services, answer, reading.counts if reading else None)
    answer = answering.dispose(services, answer)
    return answering.mark(services, answer).outcome
