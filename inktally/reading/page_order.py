"""Pages of a document that are read at the same time, and given out in their order.

What comes out is the same however many are read at once: a page knows of no page that is fewer than `AHEAD` before it,
but for the first; and where one fails, what was begun after it is stopped, what was begun before it is still heard.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Condition

from inktally.errors import Stopped
from inktally.reading.pages import PageRead

AHEAD = 16  # pages that are under way or wait to be given out, at most; so many are in memory
NEXT_LOOK = 0.05  # seconds

ReadPage = Callable[[], PageRead]


class PageOrder:
    """Which pages of a document are wanted still, and which one may pay next."""

    def __init__(self) -> None:
        self._moved = Condition()
        self._next = 1
        self._failed: int | None = None

    def wants(self, number: int) -> bool:
        """Not where a page before it has failed."""
        return self._failed is None or number < self._failed

    def check(self, number: int) -> None:
        """Raises `Stopped` for a page that is not wanted any more."""
        if not self.wants(number):
            raise Stopped("A page before this one could not be read.")

    def fail(self, number: int) -> None:
        """Page `number` has failed: those after it are of no use; those before it may fail too, and count then."""
        with self._moved:
            self._failed = number if self._failed is None else min(number, self._failed)

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Entered by page after page. Raises `Stopped` for a page that is not wanted any more."""
        with self._moved:
            while self._next != number:
                self.check(number)
                self._moved.wait(NEXT_LOOK)
        try:
            yield
        finally:
            with self._moved:
                self._next = number + 1
                self._moved.notify_all()


def in_order(last: int, begin: Callable[[int], ReadPage], order: PageOrder, workers: int) -> Generator[PageRead]:
    """Pages 2 to `last`, read by so many workers. Raises what the first page of those that failed has raised.

    `begin` is called in the thread that takes the pages, once all but the last `AHEAD` before have been taken; what it
    returns, in the thread of a worker. When the iterator is closed, nothing is wanted any more.
    """
    to_come = iter(range(2, last + 1))
    under_way: deque[Future[PageRead]] = deque()
    with ThreadPoolExecutor(min(workers, last - 1), "page") as pool:
        try:
            for number in islice(to_come, AHEAD):
                under_way.append(pool.submit(_read, number, begin(number), order))
            while under_way:
                yield under_way.popleft().result()
                for number in islice(to_come, 1):
                    under_way.append(pool.submit(_read, number, begin(number), order))
        finally:
            order.fail(0)


def _read(number: int, read: ReadPage, order: PageOrder) -> PageRead:
    try:
        order.check(number)
        return read()
    except BaseException:
        order.fail(number)
        raise
