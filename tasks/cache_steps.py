"""The cache of recognitions of one store: what it holds, and what is removed from it."""

from collections.abc import Sequence

from inktally.cache.clearing import Cleared, Clearing
from inktally.cache.recognitions import Cached, Choice, Recognitions
from tasks import wiring
from tasks.receipts import StoredReceipts

EXPIRE_DAYS = 90.0


class StoreCache:
    """Of the store at `store`; empty: the settings' own."""

    def __init__(self, store: str, *, dry_run: bool = False) -> None:
        settings, opened = wiring.settings(), wiring.store(store or wiring.settings().store)
        receipts = StoredReceipts(opened.uri)
        self._recognitions = Recognitions(opened, receipts, settings.scratch)
        self._clearing = Clearing(opened, receipts, settings, dry_run=dry_run)

    def chosen(self, choice: Choice) -> list[Cached]:
        return sorted(self._recognitions.chosen(choice), key=lambda cached: -cached.age)

    def clear(self, chosen: Sequence[Cached]) -> Cleared:
        return self._clearing.clear(self._recognitions, chosen)

    def expire(self, choice: Choice) -> Cleared:
        cleared, tidied = self.clear(self.chosen(choice)), self._clearing.tidy(self._recognitions)
        return cleared.model_copy(update=tidied.model_dump(include={"receipts", "leases", "pages"}))
