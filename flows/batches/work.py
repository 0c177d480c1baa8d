"""A batch's pictures, or one share of them, on their way to the count: looked at, recognised, handed over."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from prefect.futures import PrefectFuture

from inktally.batch.handover import Entry, PartsWriter
from inktally.batch.looking import Looked
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.rounds import Failure, Share, Tally, attempt_prefix, few
from inktally.delivery import Options, Problem, StoredObject
from inktally.errors import PictureError
from inktally.ports import Store
from inktally.steps import attempts
from inktally.steps.choices import Choices
from inktally.steps.deliveries import Needs
from tasks import batch_steps, recognition, wiring

WINDOW = 256
"""Pictures that are looked at together. Two windows are under way: one is looked at while another is recognised."""
READERS = (os.cpu_count() or 1) + 2
"""Pictures that are under way to be recognised at once: as many as are read, and two that are fetched or put away."""


@dataclass
class Window:
    """Some pictures under way: those that are known, or cannot be read, and those that are being recognised."""

    entries: list[Entry] = field(default_factory=list)
    recognising: list[tuple[PrefectFuture[Any], list[Needs]]] = field(default_factory=list)


class Work:
    """What one process does of a batch whose place was opened as `store`.

    `attempt` names the batch's run, in whose place it leaves its files below `folder`; `tell` is told how far it is.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        options: Options,
        attempt: str,
        folder: str,
        part: Part,
        *,
        tell: Callable[[Tally], None],
    ) -> None:
        self._store = store
        self._options = options
        self._attempt = attempt if options.refresh else ""
        self._refreshed: set[int] = set()
        self._tell = tell
        self._counting = Choices.of(options, wiring.settings(), {}).counting
        self._tally = Tally()
        self._failures: list[Failure] = []
        self._wait_for_turn = wiring.pace(part.pause).wait
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
        looked = batch_steps.look_at(self._store, batch_steps.whole(pictures), self._options, self._attempt)
        window, unread = Window(), dict[Any, list[Needs]]()
        for picture, found in zip(pictures, looked, strict=True):
            if isinstance(found, Exception):
                self._fail(picture, found)
            elif found.state != "open":
                self._count(**{"answered_before" if found.state == "answered" else "left_to_others": 1})
            else:
                self._sort(found, window, unread)
        for alike in unread.values():
            first = alike[0]
            refresh = self._is_to_be_refreshed(first)
            future = recognition.submit(self._store, first, self._wait_for_turn, refresh=refresh)
            window.recognising.append((future, alike))
        return window

    def _sort(self, found: Looked, window: Window, unread: dict[Any, list[Needs]]) -> None:
        """An open picture: it cannot be read, is known, or is to be read."""
        if found.needs is None:
            assert found.delivery is not None
            self._enter(window, Entry(delivery=found.delivery, problem=found.problem))
        elif found.needs.receipt:
            self._enter(window, Entry(delivery=found.needs.delivery, receipt=found.needs.receipt))
        else:
            unread.setdefault(found.needs.content, []).append(found.needs)

    def _is_to_be_refreshed(self, needs: Needs) -> bool:
        """Once for each content; of each, a number is remembered."""
        if not self._options.refresh or (content := hash(needs.likeness)) in self._refreshed:
            return False
        self._refreshed.add(content)
        return True

    def _end(self, window: Window) -> None:
        for future, alike in window.recognising:
            result = future.result(raise_on_failure=False)
            for needs in alike:
                self._take(window, needs, result)
        if window.entries:
            batch_steps.hand_over(
                self._store, batch_steps.whole(self._writer), batch_steps.whole(window.entries), self._counting
            )

    def _take(self, window: Window, needs: Needs, result: Any) -> None:
        try:
            receipt = recognition.receipt_of(result, needs)
        except BaseException as error:  # noqa: BLE001 - what the task ended with, also if it was cancelled
            problem = attempts.failed(self._store, needs.delivery, error, wiring.settings())
            if isinstance(problem, PictureError):
                self._enter(window, Entry(delivery=needs.delivery, problem=Problem.of(problem)))
            else:
                self._fail(needs.delivery.picture, problem)
        else:
            self._enter(window, Entry(delivery=needs.delivery, receipt=receipt))

    def _enter(self, window: Window, entry: Entry) -> None:
        window.entries.append(entry)
        if entry.receipt is None:
            self._count(rejected=1)
        else:
            self._count(**{"known" if entry.receipt.is_found_by(entry.delivery) else "recognised": 1})

    def _fail(self, picture: StoredObject, error: BaseException) -> None:
        failure = Failure(picture=self._store.address(picture.key), problem=Problem.of(error))
        self._failures = [*few(self._failures), failure]
        self._count(failed=1)

    def _count(self, **pictures: int) -> None:
        self._tally += Tally(**pictures)
        self._tell(self._tally)
