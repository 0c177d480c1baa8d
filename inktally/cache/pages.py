"""Pages of a document that is being recognised: kept as each is read, removed once the whole recognition is kept.

A run that is killed over page 150 of 200 is followed by one that reads the last fifty. What a document leaves that is
never finished goes when the cache is tidied (inktally/cache/clearing.py).
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from inktally import keys
from inktally.errors import InktallyError
from inktally.ports import Store

logger = logging.getLogger(__name__)

WRITERS = 8


class StoredPages:
    """The pages of one content as one engine reads them. With `refresh`, those of earlier runs are not taken.

    `when_read` is called with a page's number and the number of all pages, when all up to this one are read.
    """

    def __init__(
        self, store: Store, content: str, fingerprint: str, when_read: Callable[[int, int], None], *, refresh: bool
    ) -> None:
        self._store = store
        self.content = content
        self.fingerprint = fingerprint
        self._when_read = when_read
        self._refresh = refresh
        self._may_have_any = False

    def numbers(self) -> frozenset[int]:
        """Of those that were kept before; none where they cannot be listed now."""
        self._may_have_any = True
        if self._refresh:
            self._remove_all()
            return frozenset()
        try:
            return frozenset(keys.page_number(key) for key in self._kept())
        except InktallyError as error:
            logger.warning("pages that were read before cannot be found: %s", error)
            return frozenset()

    def page(self, number: int) -> bytes:
        try:
            return self._store.read(keys.page(self.content, self.fingerprint, number))
        except InktallyError as error:
            logger.warning("page %d is read again: %s", number, error)
            return b""

    def keep(self, number: int, page: bytes) -> None:
        try:
            self._store.put(keys.page(self.content, self.fingerprint, number), page)
        except InktallyError as error:
            logger.warning("page %d is not kept, and will be read again if this run ends early: %s", number, error)

    def tell(self, number: int, pages: int) -> None:
        self._when_read(number, pages)

    def clear(self) -> None:
        """Remove them all. Where that fails they stay until the cache is tidied."""
        if self._may_have_any:
            self._remove_all()

    def _remove_all(self) -> None:
        try:
            with ThreadPoolExecutor(WRITERS, "pages") as pool:
                list(pool.map(self._store.remove, self._kept()))
        except InktallyError as error:
            logger.warning("pages of a recognition are left behind: %s", error)

    def _kept(self) -> list[str]:
        return [found.key for found in self._store.list(keys.all_pages(self.content, self.fingerprint))]
