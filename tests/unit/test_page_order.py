"""Pages that are read at the same time: in order, with the first error, and never far ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice

import pytest

from inktally.document import Page
from inktally.errors import EngineFailed, InktallyError, Stopped, TooLarge
from inktally.reading.page_order import AHEAD, PageOrder, in_order
from inktally.reading.pages import PageRead

WORKERS = 4


def a_page(number: int) -> PageRead:
    return PageRead(pages=100, page=Page(number=number, width=1, height=1), words=())


def numbers(last: int, read: Callable[[int], None], order: PageOrder | None = None) -> Iterator[int]:
    """Of the pages as they are given out; `read` is called for each in a worker."""

    def begin(number: int) -> Callable[[], PageRead]:
        def work() -> PageRead:
            read(number)
            return a_page(number)

        return work

    with closing(in_order(last, begin, order or PageOrder(), WORKERS)) as pages:
        for page in pages:
            yield page.page.number


def failing(**errors: InktallyError) -> Callable[[int], None]:
    """Fails over some pages (p5=…), the later the sooner."""

    def read(number: int) -> None:
        time.sleep(0.01 * max(0, 12 - number))
        if error := errors.get(f"p{number}"):
            raise error

    return read


def test_pages_come_in_their_order_whichever_is_read_first() -> None:
    assert list(numbers(12, failing())) == list(range(2, 13))


def test_the_error_of_the_first_bad_page_counts_though_a_later_one_was_sooner() -> None:
    taken: list[int] = []
    with pytest.raises(EngineFailed, match="three"):
        taken.extend(numbers(12, failing(p3=EngineFailed("three"), p5=TooLarge("five"))))
    begun: list[int] = []
    with pytest.raises(TooLarge, match="five"):
        begun.extend(numbers(12, failing(p5=TooLarge("five"))))
    assert begun == [2, 3, 4]


def test_after_a_bad_page_no_other_is_begun_and_those_under_way_are_not_wanted() -> None:
    order, begun, unwanted = PageOrder(), list[int](), list[int]()

    def read(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise TooLarge("two")
        end = time.monotonic() + 5
        while order.wants(number) and time.monotonic() < end:
            time.sleep(0.001)
        unwanted.append(number)

    begin = time.monotonic()
    with pytest.raises(TooLarge):
        list(numbers(40, read, order))
    assert time.monotonic() - begin < 5
    assert len(begun) <= WORKERS + 1
    assert sorted(unwanted) == sorted(set(begun) - {2})


def test_who_stops_taking_pages_stops_those_who_read_them() -> None:
    order, under_way = PageOrder(), threading.Semaphore(0)

    def read(number: int) -> None:
        while number > 3 and order.wants(number):
            under_way.release()
            time.sleep(0.001)

    pages = numbers(40, read, order)
    assert next(pages) == 2
    under_way.acquire()
    pages.close()  # type: ignore[attr-defined]
    assert not order.wants(4)


def test_pages_are_begun_only_so_far_ahead_of_the_one_that_is_given_out() -> None:
    most = 0

    def read(number: int) -> None:
        nonlocal most
        most = max(most, number)

    pages = numbers(100, read)
    assert list(islice(pages, 3)) == [2, 3, 4]
    time.sleep(0.05)
    assert most <= 4 + AHEAD
    pages.close()  # type: ignore[attr-defined]


def test_turns_are_taken_in_order_and_none_after_a_bad_page() -> None:
    order, turns = PageOrder(), list[int]()

    def read(number: int) -> None:
        time.sleep(0.01 * (number % 3))
        if number == 9:
            raise EngineFailed("nine")
        with order.turn(number):
            turns.append(number)

    with order.turn(1), pytest.raises(AssertionError):
        raise AssertionError
    with pytest.raises(EngineFailed):
        list(numbers(20, read, order))
    assert turns == list(range(2, 9))
    with pytest.raises(Stopped), order.turn(10):
        pass
