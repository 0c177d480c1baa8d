"""One picture on its way through a run: which step comes next, what it gave, and how the picture ended."""

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
from inktally.delivery import After, Counting, Delivery, Options, Outcome, OutputName, Problem, Receipt, Upload
from inktally.document import Engine, WordCounts
from inktally.errors import (
    BadResult,
    Busy,
    InktallyError,
    NotFound,
    Overwritten,
    PictureError,
    RecipientRefused,
)
from inktally.intake import status
from inktally.lease import Lease
from inktally.outputs import chosen
from inktally.ports import Store
from inktally.progress import tell
from inktally.steps import announcing, counting, deliveries, markers
from inktally.steps.asked import counting_for, engine_for
from inktally.steps.wishes import Wishes
from tasks import caching, chaining, upload_steps, wiring

logger = logging.getLogger(__name__)


@dataclass
class Picture:
    """An upload, what the run has found out about it so far, and in the end its outcome.

    One picture never stops the others: an error of a step is kept as the picture's `problem`, and no further step is
    taken but those that tell of it.
    """

    upload: Upload
    options: Options
    receipt: Receipt | None = None
    problem: Exception | None = None
    outcome: Outcome | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    outputs_asked: tuple[OutputName, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    recipient: str | None = None
    _delivery: Delivery | None = None
    _engine: Engine | None = None
    _claim: Lease | None = None
    _counts: WordCounts | None = None
    _wishes: Wishes = Wishes()  # noqa: RUF009 - frozen
    _overwrite_cache: bool = False
    must_wait: bool = False
    is_no_more: bool = False

    @classmethod
    def of(cls, upload: Upload, options: Options) -> Picture:
        """The picture of an upload, with its store spelled in the one way."""
        named = upload.store or wiring.settings().store
        try:
            return cls(upload.model_copy(update={"store": wiring.store(named).uri}), options)
        except InktallyError as error:  # no such store
            return cls(upload.model_copy(update={"store": named}), options, problem=error)

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
                self._recall()
        return self.problem is None and not self.is_known and "-" not in self.delivery.picture.etag

    def begin(self, wait: float = 0.0) -> None:
        """Look at the picture, claim it, and look whether it is known. One answered before has its outcome at once.

        One that another run is at work on `must_wait`, if there is time: the others of this run come first, so that
        two runs never wait for each other.
        """
        if self.problem is None:
            with self._step("look"):
                self._look()
                self.outcome = self.outcome or self._claim_it(wait)
                if self.outcome is None:
                    self._recall()
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
        """Find the delivery, and its answer if it has one; what is to be refreshed is a new attempt of this run."""
        self._delivery = deliveries.look(self._store, self.upload)
        self.outcome = markers.answer_of(self._store, self.delivery)
        if self.outcome is not None and self.options.refresh and not self.upload.attempt:
            self.upload = self.upload.model_copy(update={"attempt": str(flow_run.id)})
            self._look()

    def _claim_it(self, wait: float) -> Outcome | None:
        """Make this run the one that answers; if another has done so in the meantime, its outcome."""
        claim = Lease(self._store, keys.marker(self.delivery.id, "claim"), ttl=wiring.settings().lease_seconds)
        if not claim.acquire(wait):
            raise Busy(f"Another run is at work on {self.name}; its result will be there when that has finished.")
        self._claim = claim
        try:
            status.take_up(self._store, self.delivery, wiring.settings())
        except Busy:
            self.let_go()
            raise
        return markers.answer_of(self._store, self.delivery)

    def _recall(self) -> None:
        """Find out who would read the picture, whether it has been read, and what is to be written of it."""
        settings = wiring.settings()
        self._wishes = Wishes.of(self.delivery.picture.metadata)
        self.outputs_asked = chosen(self.options.outputs or self._wishes.outputs or settings.outputs)
        recogniser = wiring.recogniser(self.options.engine or settings.engine)
        self._engine = engine_for(self.delivery, self.options, recogniser, settings)
        try:
            self.receipt = None if self.options.refresh else caching.cached_receipt(self.delivery, self._engine)
        except BadResult as error:
            logger.warning("%s is recognised again: %s", self.name, error)
            self._overwrite_cache = True

    @property
    def is_known(self) -> bool:
        """Whether it has been recognised before."""
        return self.receipt is not None

    def submit(self) -> PrefectFuture[Any]:
        """Begin to recognise, in a thread of the task runner."""
        self.tell("recognising")
        recognise = upload_steps.recognise.with_options(
            refresh_cache=self.options.refresh or self._overwrite_cache,
            **caching.recognition_cache(self.upload.store),
        )
        return recognise.submit(self.delivery, self.engine, refresh=self.options.refresh)

    def recall(self) -> None:
        """Take the cached recognition through Prefect, whose UI shows the task as Cached."""
        with self._step("recognise"):
            recognise = upload_steps.recognise.with_options(**caching.recognition_cache(self.upload.store))
            result = recognise(self.delivery, self.engine, refresh=False)
            self.receipt = caching.checked_receipt(result, self.engine)
        self._recall_counts()

    def take(self, future: PrefectFuture[Any]) -> None:
        """Take what recognition gave."""
        result = future.result(raise_on_failure=False)
        with self._step("recognise"):
            if isinstance(result, BaseException):
                raise result
            self.receipt = caching.checked_receipt(result, self.engine)
            self.seconds["recognise"] = self.receipt.seconds
        if self.is_cached:
            self._recall_counts()

    def _recall_counts(self) -> None:
        with self._step("count"):
            self.counts()

    @property
    def is_cached(self) -> bool:
        """Whether its recognition was not made for this delivery."""
        return self.receipt is not None and self.receipt.made_for != self.delivery.id

    @property
    def needs_a_count(self) -> bool:
        """Whether it has been recognised, and its words have never been counted."""
        return self.problem is None and self.receipt is not None and self._counts is None

    def check_claim(self) -> None:
        """Keep it as a problem when another run may have taken the picture over."""
        if not self.is_claimed:
            self.problem = Busy(f"This run was stopped so long that another may have taken {self.name} over.")

    @property
    def is_claimed(self) -> bool:
        return self._claim is not None and self._claim.held

    def conclude(self) -> None:
        """Make up the outcome."""
        self.outcome = self._outcome()

    def end(self) -> None:
        """Tell how it ended, and let it go."""
        if self.problem is None:
            chaining.announce_counted(self.delivery, self.summary)
        self.let_go()
        tell(self.name, f"failed: {self.problem}" if self.problem else "done")
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

    def _outcome(self) -> Outcome:
        outcome = Outcome(
            upload=self._address(),
            etag=self._delivery.picture.etag if self._delivery else self.upload.etag,
            outputs=self.outputs,
            seconds=self.seconds,
            notified=self.recipient,
            error=Problem.of(self.problem) if self.problem else None,
        )
        counts = self.counts()
        if self.receipt is None or counts is None:
            return outcome
        facts = {
            "cached": self.is_cached,
            "words": counts.total,
            "distinct": counts.distinct,
            "mean_confidence": counts.mean_confidence,
        }
        return outcome.model_copy(update=facts)

    def _address(self) -> str:
        try:
            return self._store.address(self.upload.key)
        except InktallyError:  # no such store
            return f"{self.upload.store}/{self.upload.key}"

    def counts(self) -> WordCounts | None:
        """None when there are none, or when the store cannot be asked now: an outcome must not fail."""
        if self._counts is None and self.receipt is not None:
            try:
                self._counts = counting.counts_of(self._store, self.receipt, self.counting)
            except InktallyError as error:
                logger.warning("the counts of %s cannot be read: %s", self.name, error)
        return self._counts

    def tell_it_takes_longer(self) -> None:
        """Mail once that the answer comes later, if it has not come yet; also of one whose turn has not come."""
        if self.outcome is not None and (self._delivery is None or not self.is_our_fault):
            return
        try:
            delivery = self._delivery or deliveries.look(self._store, self.upload)
            announcing.announce_delay(self._store, wiring.notifier(), delivery, wiring.settings())
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
    def engine(self) -> Engine:
        assert self._engine is not None, f"nobody has chosen an engine for {self.name}"
        return self._engine

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
        return self.problem is None or isinstance(self.problem, PictureError | RecipientRefused)

    @property
    def is_our_fault(self) -> bool:
        return not (self.is_final or self.is_no_more or isinstance(self.problem, Busy))

    @property
    def counting(self) -> Counting:
        asked, wished = self.options.min_confidence, self._wishes
        least = wished.min_confidence if asked is None else asked
        body_only = self.options.body_only or wished.body_only
        options = self.options.model_copy(update={"min_confidence": least, "body_only": body_only})
        return counting_for(options, wiring.settings())

    @property
    def after(self) -> After:
        return self.options.after or wiring.settings().after

    @property
    def _store(self) -> Store:
        return wiring.store(self.upload.store)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Time a step, and keep its error as the picture's problem."""
        begun = monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - decided upon by its type
            self.problem = error
        finally:
            self.spend(name, monotonic() - begun)

    def spend(self, step: str, seconds: float) -> None:
        """Note down what a step took."""
        self.seconds[step] = round(self.seconds.get(step, 0.0) + seconds, 3)
