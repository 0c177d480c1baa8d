"""The pictures of one run under way: some are recognised while those before them are counted and answered."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, Self

from prefect.futures import PrefectFuture

from flows.uploads.picture import Picture
from tasks import ui, wiring

CORES = os.cpu_count() or 1  # more recognitions at once would only be slower
AHEAD = 4 * CORES
"""Pictures that are claimed at once: enough to keep the cores at work, few enough that other runs have some, too."""
MOST_TOGETHER = 16
"""Pictures that need no count, in one group."""
WORTH_A_JOB = 8
"""Pictures for which Spark is asked without waiting longer for others."""
NEXT_LOOK = 0.05  # seconds


class Pipeline:
    """Begins pictures a few at a time, gathers them as they are recognised, and hands them on in groups to `go_on`.

    A group that needs a count is closed when nothing more is to come, or when Spark is there and its first picture has
    waited for INKTALLY_GROUP_SECONDS; for five times that while it is small. Groups go on in a thread of their own, one
    after the other.
    """

    def __init__(self, go_on: Callable[[list[Picture]], None], pictures: int) -> None:
        self._go_on = go_on
        self._progress = ui.ProgressArtifact()
        self._progress.show(0, pictures)
        self._finisher = ThreadPoolExecutor(1, "finish")
        self._under_way: list[Future[None]] = []
        self._finished: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
        self._recognising: dict[PrefectFuture[Any], Picture] = {}
        self._counted: list[Picture] = []
        self._uncounted: list[Picture] = []
        self._since = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finisher.shutdown(cancel_futures=kind is not None)

    def recognise(self, pictures: Iterable[Picture], wait: float = 0.0) -> None:
        """See pictures through to their outcomes, but for those that must wait for another run."""
        to_come = deque(pictures)
        while to_come or self._recognising:
            while to_come and len(self._recognising) < AHEAD:
                self._begin(to_come.popleft(), wait)
                if len(self._counted) >= MOST_TOGETHER:
                    self._finish_counted()
            self._finish_counted()
            self._gather()
            if self._is_due():
                self._finish_uncounted()
        self._finish_counted()
        self._finish_uncounted()
        for finished in self._under_way:
            finished.result()
        self._under_way.clear()

    def _begin(self, picture: Picture, wait: float) -> None:
        picture.begin(wait)
        if picture.must_wait:
            return
        if picture.outcome is not None:
            self._progress.advance(1)
        elif picture.is_rejected:
            self._counted.append(picture)
        elif picture.is_known:
            picture.recall()
            self._add(picture)
        else:
            future = picture.submit()
            self._recognising[future] = picture
            future.add_done_callback(self._finished.put)

    def _gather(self) -> None:
        if not self._recognising:
            return
        with suppress(Empty):
            future = self._finished.get(timeout=NEXT_LOOK)
            picture = self._recognising.pop(future)
            picture.take(future)
            self._add(picture)

    def _add(self, picture: Picture) -> None:
        if not picture.needs_a_count:
            self._counted.append(picture)
            return
        self._since = self._since if self._uncounted else monotonic()
        self._uncounted.append(picture)

    def _is_due(self) -> bool:
        patience = wiring.settings().group_seconds * (1 if len(self._uncounted) >= WORTH_A_JOB else 5)
        return bool(self._uncounted) and monotonic() - self._since >= patience and wiring.counter().is_ready

    def _finish_counted(self) -> None:
        self._finish(self._counted)
        self._counted = []

    def _finish_uncounted(self) -> None:
        self._finish(self._uncounted)
        self._uncounted = []

    def _finish(self, pictures: list[Picture]) -> None:
        def finish() -> None:
            self._go_on(pictures)
            self._progress.advance(len(pictures))

        if pictures:
            self._under_way.append(self._finisher.submit(copy_context().run, finish))
