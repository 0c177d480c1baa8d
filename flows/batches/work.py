"""A batch's pictures, or one share of them, on their way to the count: looked at, recognised, handed over."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

from inktally.batch.handover import Entry, PartsWriter
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.rounds import Failure, Share, Tally, attempt_prefix, few
from inktally.delivery import Options, Problem, Receipt, StoredObject
from inktally.errors import BadResult, PictureError
from inktally.steps.asked import counting_for
from inktally.steps.looking import Looked
from tasks import batch_steps, caching, wiring

WINDOW = 256
"""Pictures that are looked at together. Two windows are under way: one is looked at while another is recognised."""
T = TypeVar("T")
READERS = (os.cpu_count() or 1) + 2
"""Pictures that are under way to be recognised at once: as many as are read, and two that are fetched or put away."""


@dataclass
class Window:
    """Some pictures under way: those that are known, or cannot be read, and those that are being recognised."""

    entries: list[Entry] = field(default_factory=list)
    recognising: list[tuple[PrefectFuture[Any], list[Looked]]] = field(default_factory=list)


class Work:
    """What one process does of a batch.

    `attempt` names the batch's run, in whose place it leaves its files below `folder`; `tell` is told how far it is.
    """

    def __init__(
        self, place: Place, options: Options, attempt: str, folder: str, part: Part, *, tell: Callable[[Tally], None]
    ) -> None:
        self._place = place
        self._options = options
        self._attempt = attempt
        self._part = part
        self._refreshed: set[int] = set()
        self._tell = tell
        self._counting = counting_for(options, wiring.settings())
        self._tally = Tally()
        self._failures: list[Failure] = []
        store = batch_steps.opened(place)
        self._pictures = filter(part.holds, place.pictures(store))
        self._writer = PartsWriter(store, f"{attempt_prefix(place, attempt)}{folder}")

    def run(self) -> Share:
        """See all pictures of this share recognised, or known not to be."""
        before: Window | None = None
        while pictures := list(islice(self._pictures, WINDOW)):
            window = self._begin(pictures)
            if before:
                self._end(before)
            before = window
        if before:
            self._end(before)
        return Share(handed=self._writer.handed, tally=self._tally, failures=few(self._failures))

    def _begin(self, pictures: list[StoredObject]) -> Window:
        attempt = self._attempt if self._options.refresh else ""
        looked = batch_steps.look_at(self._place, _whole(pictures), self._options, attempt)
        window, unknown = Window(), dict[Any, list[Looked]]()
        for picture, found in zip(pictures, looked, strict=True):
            if isinstance(found, Exception):
                self._fail(picture, found)
            elif found.state != "open":
                self._count(**{"answered_before" if found.state == "answered" else "left_to_others": 1})
            elif found.engine and not found.receipt:
                unknown.setdefault(found.content, []).append(found)
            else:
                self._enter(window, found, found.receipt or found.problem)
        for alike in unknown.values():
            window.recognising.append((self._submit(alike[0]), alike))
        return window

    def _submit(self, first: Looked) -> PrefectFuture[Any]:
        assert first.delivery is not None
        assert first.engine is not None
        refresh = self._is_to_be_refreshed(first)
        task = batch_steps.recognise.with_options(
            refresh_cache=refresh or first.is_cache_bad, **caching.recognition_cache(self._place.store)
        )
        return task.submit(self._place, first.delivery, first.engine, self._part, refresh=refresh)

    def _is_to_be_refreshed(self, looked: Looked) -> bool:
        """Once for each content; of each, a number is remembered."""
        if not self._options.refresh or (content := hash(looked.content)) in self._refreshed:
            return False
        self._refreshed.add(content)
        return True

    def _end(self, window: Window) -> None:
        for future, alike in window.recognising:
            result = future.result(raise_on_failure=False)
            for looked in alike:
                self._take(window, looked, result)
        if window.entries:
            batch_steps.hand_over(self._place, _whole(self._writer), _whole(window.entries), self._counting)

    def _take(self, window: Window, looked: Looked, result: Any) -> None:
        assert looked.engine is not None
        try:
            receipt = caching.checked_receipt(result, looked.engine)
        except BadResult as error:
            result = result if isinstance(result, BaseException) else error
        if isinstance(result, PictureError):
            self._enter(window, looked, Problem.of(result))
        elif isinstance(result, BaseException):
            self._fail(looked.picture, result)
        else:
            self._enter(window, looked, receipt)

    def _enter(self, window: Window, looked: Looked, found: Receipt | Problem | None) -> None:
        assert looked.delivery is not None
        assert found is not None
        if isinstance(found, Problem):
            entry, kind = Entry(delivery=looked.delivery, problem=found), "rejected"
        else:
            entry = Entry(delivery=looked.delivery, receipt=found)
            kind = "known" if entry.is_cached else "recognised"
        window.entries.append(entry)
        self._count(**{kind: 1})

    def _fail(self, picture: StoredObject, error: BaseException) -> None:
        address = batch_steps.opened(self._place).address(picture.key)
        self._failures = [*few(self._failures), Failure(picture=address, problem=Problem.of(error))]
        self._count(failed=1)

    def _count(self, **pictures: int) -> None:
        self._tally += Tally(**pictures)
        self._tell(self._tally)


def _whole(value: T) -> T:
    """As an argument of a task that Prefect does not search for futures."""
    return cast("T", quote(value))
