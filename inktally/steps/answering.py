"""How a counted picture of a batch is answered: outputs, a mail where somebody waits for one, and the marker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inktally import keys
from inktally.batch.handover import Entry
from inktally.batch.rounds import Failure, Share, Tally, few
from inktally.delivery import Counting, Delivery, Outcome, OutputName, Problem, Receipt
from inktally.errors import Busy, RecipientRefused
from inktally.lease import leased
from inktally.outputs.layout import Reading
from inktally.ports import Notifier, PdfWriter, Store
from inktally.settings import Settings
from inktally.steps import announcing, markers, publishing
from inktally.steps.counting import counts_for, reading_of


@dataclass(frozen=True)
class Answering:
    """All that answering takes. Pictures of a store of somebody else's have no uploader who could be told."""

    store: Store
    counting: Counting
    outputs: tuple[OutputName, ...]
    pdf_writer: PdfWriter
    notifier: Notifier
    settings: Settings
    has_uploaders: bool

    def answer_document(self, entries: Sequence[Entry]) -> list[Outcome]:
        """How the pictures of one document were answered, now or before; its recognition is read at most once."""
        reading: Reading | None = None
        outcomes = []
        for entry in entries:
            outcome = markers.answer_of(self.store, entry.delivery)
            if outcome is None:
                if entry.receipt is not None:
                    reading = self._reading(entry.delivery, entry.receipt, reading)
                outcome = self._answered(entry, reading)
            outcomes.append(outcome)
        return [outcome for outcome in outcomes if outcome is not None]

    def _reading(self, delivery: Delivery, receipt: Receipt, known: Reading | None) -> Reading:
        if known is None:
            return reading_of(self.store, delivery, receipt, self.counting)
        return replace(known, counts=counts_for(self.store, delivery, known.counts))

    def _answered(self, entry: Entry, reading: Reading | None) -> Outcome | None:
        """None when another run is at work on it."""
        if not self.has_uploaders or not announcing.recipient_of(self.store, entry.delivery):
            return self._answer(entry, reading)
        claim = keys.marker(entry.delivery.id, "claim")
        try:
            with leased(self.store, claim, ttl=self.settings.lease_seconds, timeout=0):
                return markers.answer_of(self.store, entry.delivery) or self._answer(entry, reading)
        except Busy:
            return None

    def _answer(self, entry: Entry, reading: Reading | None) -> Outcome:
        outcome = self._counted(entry, reading) if reading else self._rejected(entry)
        markers.answer(self.store, entry.delivery, outcome)
        return outcome

    def _counted(self, entry: Entry, reading: Reading) -> Outcome:
        delivery, counts = entry.delivery, reading.counts
        outputs = publishing.publish(self.store, delivery, reading, self.outputs, self.pdf_writer, self.settings)
        refusal = notified = None
        if self.has_uploaders:
            try:
                notified = announcing.announce_counts(self.store, self.notifier, delivery, counts, self.settings)
            except RecipientRefused as error:
                refusal = error
        return Outcome(
            upload=counts.source,
            etag=counts.etag,
            cached=entry.is_cached,
            words=counts.total,
            distinct=counts.distinct,
            mean_confidence=counts.mean_confidence,
            outputs=outputs,
            seconds={"recognise": entry.receipt.seconds} if entry.receipt and not entry.is_cached else {},
            notified=notified,
            error=Problem.of(refusal) if refusal else None,
        )

    def _rejected(self, entry: Entry) -> Outcome:
        delivery, problem = entry.delivery, entry.problem
        assert problem is not None, "a picture has a recognition or a problem"
        notified = None
        if self.has_uploaders:
            notified = announcing.announce_failure(self.store, self.notifier, delivery, problem, self.settings)
        source = self.store.address(delivery.picture.key)
        return Outcome(upload=source, etag=delivery.picture.etag, notified=notified, error=problem)


def tallied(store: Store, documents: Sequence[Sequence[Entry]], results: Sequence[list[Outcome] | Exception]) -> Share:
    """What became of documents: of each the outcomes of its pictures, or the error that befell it."""
    failures: list[Failure] = []
    tally = Tally()
    for entries, result in zip(documents, results, strict=True):
        if isinstance(result, Exception):
            problem = Problem.of(result)
            failures += [
                Failure(picture=store.address(entry.delivery.picture.key), problem=problem) for entry in entries
            ]
            tally += Tally(unanswered=len(entries))
        else:
            failures += [Failure(picture=outcome.upload, problem=outcome.error) for outcome in result if outcome.error]
            tally += Tally(answered=len(result), words=sum(outcome.words for outcome in result))
    return Share(tally=tally, failures=few(failures))
