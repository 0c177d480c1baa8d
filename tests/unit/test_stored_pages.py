"""Pages are kept while a document is read: until it is recognised or refused, for whoever reads it next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inktally import keys
from inktally.cache.pages import StoredPages
from inktally.document import Engine, Page, Recognition
from inktally.errors import EngineFailed, InktallyError, TooLarge
from inktally.ports import PagesDone
from inktally.settings import read_settings
from tests.support.desks import ENGINE, Desk
from tests.support.memory_store import MemoryStore

PAGES = 5


@dataclass
class PageByPage:
    """Reads a document of five pages, and fails over one of them with `error`, once."""

    bad_page: int = 0
    error: InktallyError | None = None
    read: list[int] = field(default_factory=list)

    def warm_up(self) -> None:
        return None

    def identify(self, languages: Sequence[str]) -> Engine:
        return ENGINE.model_copy(update={"languages": tuple(languages)})

    def recognise(self, picture: Path, engine: Engine, done: PagesDone | None = None) -> Recognition:
        pages = [Page(number=number, width=1, height=1) for number in range(1, PAGES + 1)]
        if done is None:  # whether the engine reads a blank page
            return Recognition(engine=engine, pages=tuple(pages[:1]), words=(), text="")
        kept = done.numbers()
        for page in pages[1:]:
            if page.number in kept and done.page(page.number) == b"page":
                continue
            if page.number == self.bad_page and self.error:
                error, self.error = self.error, None
                raise error
            self.read.append(page.number)
            done.keep(page.number, b"page")
            done.tell(page.number, PAGES)
        return Recognition(engine=engine, pages=tuple(pages), words=(), text=picture.read_text())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(read_settings(scratch=tmp_path))


def begun(desk: Desk, error: InktallyError) -> PageByPage:
    """A recogniser that has failed over page 4."""
    reader = PageByPage(bad_page=4, error=error)
    desk.recogniser = reader  # type: ignore[assignment]
    with pytest.raises(type(error)):
        desk.recognise(desk.deliver("input/book.pdf", "a book"))
    return reader


def test_a_retry_goes_on_where_the_last_one_failed_and_leaves_no_page(desk: Desk) -> None:
    reader = begun(desk, EngineFailed("It broke."))
    assert len(desk.keys(keys.PAGES)) == 2
    desk.recognise(desk.deliver("input/the same.pdf", "a book"))
    assert reader.read == [2, 3, 4, 5]
    assert desk.keys(keys.PAGES) == []


def test_pages_of_a_document_that_is_refused_are_removed(desk: Desk) -> None:
    begun(desk, TooLarge("Too many words."))
    assert desk.keys(keys.PAGES) == []


def test_a_refresh_takes_no_page_that_was_kept(desk: Desk) -> None:
    reader = begun(desk, EngineFailed("It broke."))
    desk.recognise(desk.deliver("input/book.pdf", "a book"), refresh=True)
    assert reader.read == [2, 3, 2, 3, 4, 5]


def test_a_single_page_costs_the_store_no_request_for_pages(desk: Desk) -> None:
    desk.recognise(desk.deliver("input/a.png", "one"))
    looked: list[str] = []

    class Watched(MemoryStore):
        def list(self, prefix: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            looked.append(prefix)
            return super().list(prefix)

    desk.store = Watched()
    desk.recognise(desk.deliver("input/b.png", "two"))
    assert [prefix for prefix in looked if prefix.startswith(keys.PAGES)] == []


def test_a_store_that_takes_no_page_stops_no_reading() -> None:
    store = MemoryStore(down=True)
    told: list[int] = []
    pages = StoredPages(store, "1" * 64, "a" * 16, lambda number, _: told.append(number), refresh=False)
    assert pages.numbers() == frozenset()
    pages.keep(2, b"page")
    pages.tell(2, PAGES)
    pages.clear()
    assert told == [2]
