"""One picture on its way through a run: what is known of it, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from inktally import keys
from inktally.delivery import Counting, Delivery, Options, Outcome, Problem, Receipt, Upload
from inktally.document import WordCounts
from inktally.errors import Busy, InktallyError, NotFound, Overwritten, PictureError
from inktally.intake import status
from inktally.lease import Lease
from inktally.ports import Store
from inktally.progress import tell
from inktally.settings import Settings
from inktally.steps import announcing, answering, attempts, deliveries, markers
from inktally.steps.choices import Choices
from inktally.steps.counting import counts_of
from tasks import caching, chaining, recognition, wiring

logger = logging.getLogger(__name__)


@dataclass
class Picture:
    """An upload, what the run has found out about it so far, and in the end its outcome.

    One picture never stops the others: an error of a step is kept as the picture's `problem`, and no further step is
    taken but those that tell of it. `answer` is there once the picture has been read, or cannot be.
    """

    upload: Upload
    options: Options
    settings: Settings
    opened: Store | None = None
    problem: Exception | None = None
    answer: answering.Answer | None = None
    outcome: Outcome | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    must_wait: bool = False
    is_no_more: bool = False
    _delivery: Delivery | None = None
    _choices: Choices | None = None
    _needs_or_none: deliveries.Needs | None = None
    _claim: Lease | None = None
    _counts: WordCounts | None = None

    @classmethod
    def of(cls, upload: Upload, options: Options) -> Picture:
        """The picture of an upload, with its store spelled in the one way."""
        settings = wiring.settings()
        named = upload.store or settings.store
        try:
            store = wiring.store(named)
            return cls(upload.model_copy(update={"store": store.uri}), options, settings, store)
        except InktallyError as error:  # no such store
            return cls(upload.model_copy(update={"store": named}), options, settings, problem=error)

    @classmethod
    def prepare(cls, uploads: Iterable[Upload], options: Options) -> None:
        """Let Tesseract and Spark begin to start where a picture is new, before there is a run."""
        for upload in uploads:
            if cls.of(upload, options).is_new():
                wiring.recogniser(options.engine or wiring.settings().engine).warm_up()
                wiring.counter().warm_up()
                return

    def is_new(self) -> bool:
        """Whether it looks as if nobody has read it; an ETag with a dash, of parts, says nothing about the bytes."""
        if self.problem is None:
            with self._step("look"):
                self._delivery = deliveries.look(self._store, self.upload)
                self._find_needs()
        seems_known = self.is_known or (self._needs_or_none is not None and self._needs_or_none.hint is not None)
        return self.problem is None and not seems_known and "-" not in self.delivery.picture.etag

    def begin(self, wait: float = 0.0) -> None:
        """Find out what the picture needs, and claim it. One that was processed before has its outcome at once.

        One that another run is processing `must_wait`, if there is time: the others of this run come first, so that
        two runs never wait for each other.
        """
        if self.problem is None:
            with self._step("look"):
                self._look()
                self.outcome = self.outcome or self._claim_it(wait)
                if self.outcome is None:
                    self._find_needs()
        self.must_wait = isinstance(self.problem, Busy) and wait < self.options.wait
        self.is_no_more = isinstance(self.problem, NotFound | Overwritten)
        if self.must_wait:
            self.problem = None
        elif self.problem is not None and not self.is_rejected:
            self.conclude()
            self.end()
        elif self.outcome is not None:
            self.outcome = self.outcome.model_copy(update={"cached": True})
            self.let_go()
            tell(self.name, "answered before")

    def _look(self) -> None:
        attempt = str(flow_run.id) if self.options.refresh else ""
        self._delivery, self.outcome = deliveries.find(self._store, self.upload, attempt)
        self.upload = self._delivery.upload

    def _claim_it(self, wait: float) -> Outcome | None:
        """Make this run the one that answers; if another has done so in the meantime, its outcome."""
        claim = Lease(self._store, keys.marker(self.delivery.id, "claim"), ttl=self.settings.lease_seconds)
        if not claim.acquire(wait):
            raise Busy(f"Another run is at work on {self.name}; its result will be there when that has finished.")
        self._claim = claim
        try:
            status.take_up(self._store, self.delivery, self.settings)
        except Busy:
            self.let_go()
            raise
        return markers.outcome_of(self._store, self.delivery)

    def _find_needs(self) -> None:
        recogniser = wiring.recogniser(self.options.engine or self.settings.engine)
        self._choices = Choices.of(self.options, self.settings, self.delivery.picture.metadata)
        needs = deliveries.needs_of(self.delivery, self.options, recogniser, self.settings)
        self._needs_or_none = needs if self.options.refresh else deliveries.recalled(needs, caching.cached_receipt)

    def submit(self) -> PrefectFuture[Any]:
        """Begin to recognise, in a thread of the task runner."""
        self.tell("recognising")
        return recognition.submit(self._store, self._needs, wiring.counter().warm_up, refresh=self.options.refresh)

    def take(self, future: PrefectFuture[Any]) -> None:
        """Take what recognition gave."""
        with self._step("recognise"):
            receipt = recognition.receipt_of(future.result(raise_on_failure=False), self._needs)
            self._read_as(receipt)
            self.seconds["recognise"] = receipt.seconds
            if self.is_cached:
                self._blame_for_a_death()
        if self.is_cached:
            self._recall_counts()

    def recall(self) -> None:
        """Take the cached recognition of a picture that is known, and its counts."""
        with self._step("recognise"):
            self._read_as(recognition.recall(self._store, self._needs))
            self._blame_for_a_death()
        self._recall_counts()

    def _blame_for_a_death(self) -> None:
        """It had been read when the run before this one was killed; else whoever reads it next notes that down."""
        if self._claim is not None and self._claim.took_over:
            attempts.died(self._store, self.delivery, self.settings)

    def _read_as(self, receipt: Receipt) -> None:
        assert self._choices is not None, f"nobody has found out what is asked for {self.name}"
        self.answer = answering.Answer.of_read(self._store, self.delivery, receipt, self._choices, self._needs.engine)

    def _recall_counts(self) -> None:
        with self._step("count"):
            self.counts()

    @property
    def is_known(self) -> bool:
        """Whether it has been recognised before."""
        return self._needs_or_none is not None and self._needs_or_none.receipt is not None

    @property
    def is_cached(self) -> bool:
        """Whether its recognition was not made for this delivery."""
        return self.answer is not None and self.answer.outcome.cached

    @property
    def needs_a_count(self) -> bool:
        """Whether it has been recognised, and its words have never been counted."""
        return self.problem is None and self.receipt is not None and self._counts is None

    @property
    def receipt(self) -> Receipt | None:
        return self.answer.recognised.receipt if self.answer and self.answer.recognised else None

    @property
    def counting(self) -> Counting:
        assert self._choices is not None
        return self._choices.counting

    def check_claim(self) -> None:
        """Keep it as a problem when another run may have taken the picture over."""
        if not self.is_claimed:
            self.problem = Busy(f"This run was stopped so long that another may have taken {self.name} over.")

    @property
    def is_claimed(self) -> bool:
        return self._claim is not None and self._claim.held

    def conclude(self) -> None:
        """Make up the outcome."""
        facts: dict[str, Any] = {"seconds": dict(self.seconds)}
        if self.problem is not None:
            facts["error"] = Problem.of(self.problem)
        if self.answer is None:
            address = self._store.address(self.upload.key) if self.opened else f"{self.upload.store}/{self.upload.key}"
            etag = self._delivery.picture.etag if self._delivery else self.upload.etag
            self.outcome = Outcome(upload=address, etag=etag, **facts)
            return
        if self.problem is not None and (counts := self.counts()):
            self.answer = self.answer.counted(counts)
        self.answer = self.answer.noting(**facts)
        self.outcome = self.answer.outcome

    def end(self) -> None:
        """Tell how it ended, and let it go."""
        error = Problem.of(self.problem) if self.problem else self.summary.error
        if error is None:
            chaining.announce_counted(self.delivery, self.summary)
        self.let_go()
        tell(self.name, f"failed: {error.message}" if error else "done")
        if self.is_our_fault:
            unforeseen = None if isinstance(self.problem, InktallyError) else self.problem
            logger.error("%s was not answered: %s", self.name, self.problem, exc_info=unforeseen)
            if self._delivery is not None and self.problem is not None:
                status.note_problem(self._store, self._delivery, self.problem)
            self.tell_it_takes_longer()

    def tell(self, stage: str) -> None:
        """Say at which stage it is, also to whoever watches an upload over the web."""
        tell(self.name, stage)
        status.note(self._store, self.delivery, stage)

    def counts(self) -> WordCounts | None:
        """None when there are none, or when the store cannot be asked now: an outcome must not fail."""
        if self._counts is None and self.receipt is not None:
            try:
                self._counts = counts_of(self._store, self.receipt, self.counting)
            except InktallyError as error:
                logger.warning("the counts of %s cannot be read: %s", self.name, error)
        return self._counts

    def tell_it_takes_longer(self) -> None:
        """Mail once that the answer comes later, if it has not come yet; also of one whose turn has not come."""
        is_ended = self.outcome is not None and (self._delivery is None or not self.is_our_fault)
        if is_ended or self.opened is None:
            return
        try:
            delivery = self._delivery or deliveries.look(self._store, self.upload)
            announcing.announce_delay(self._store, wiring.notifier(), delivery, self.settings)
        except InktallyError as error:
            logger.warning("%s: nobody could be told that it takes longer: %s", self.name, error)

    def let_go(self) -> None:
        """Give up the claim, so that another run may go on where this one failed."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    @property
    def name(self) -> str:
        return self.upload.name

    @property
    def delivery(self) -> Delivery:
        assert self._delivery is not None, f"nobody has looked at {self.name}"
        return self._delivery

    @property
    def summary(self) -> Outcome:
        assert self.outcome is not None, f"{self.name} has not been finished"
        return self.outcome

    @property
    def is_rejected(self) -> bool:
        """Whether the picture itself is at fault."""
        return isinstance(self.problem, PictureError)

    @property
    def is_final(self) -> bool:
        """Whether a further run could change nothing."""
        return self.problem is None or self.is_rejected

    @property
    def is_our_fault(self) -> bool:
        return not (self.is_final or self.is_no_more or isinstance(self.problem, Busy))

    @property
    def _store(self) -> Store:
        assert self.opened is not None, f"{self.upload.store} is no store"
        return self.opened

    @property
    def _needs(self) -> deliveries.Needs:
        assert self._needs_or_none is not None, f"nobody has found out what {self.name} needs"
        return self._needs_or_none

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Time a step, and keep its error as the picture's problem."""
        begun = monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - decided upon by its type
            self.fail(error)
        finally:
            self.spend(name, monotonic() - begun)

    def fail(self, error: Exception) -> None:
        """Keep what went wrong; where the picture is at fault, or has failed too often, that is its answer."""
        if self._delivery is not None:
            error = attempts.failed(self._store, self._delivery, error, self.settings)
        self.problem = error
        if self.is_rejected:
            self.answer = answering.Answer.of_unreadable(self._store, self.delivery, Problem.of(error))

    def spend(self, step: str, seconds: float) -> None:
        """Note down what a step took."""
        self.seconds[step] = round(self.seconds.get(step, 0.0) + seconds, 3)
