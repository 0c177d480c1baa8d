"""Recognitions are removed, and what was left behind by runs that died.

It may be cut short at any moment, and run again: receipts go first, then counts, then the recognition itself, and
whatever is left is either found as before or of no use to anybody.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from inktally import keys
from inktally.cache.recognitions import Cached, Receipts, RecognitionId, Recognitions
from inktally.delivery import Delivery, StoredObject, Upload
from inktally.document import Value
from inktally.lease import Lease
from inktally.ports import Store, stat_or_none
from inktally.scratch import scratch_folder
from inktally.settings import Settings

logger = logging.getLogger(__name__)

DAY_SECONDS = 24 * 60 * 60.0


class Cleared(Value):
    """What was removed, or would be: recognitions and their bytes; `in_use`: those that a run may be using now.

    `receipts` led nowhere; `leases` were left by runs that died, `pages` by documents that nobody has finished.
    """

    recognitions: int = 0
    size: int = 0
    in_use: int = 0
    receipts: int = 0
    leases: int = 0
    pages: int = 0


@dataclass(frozen=True)
class Clearing:
    """Removes from one store; with `dry_run` nothing, but tells what it would."""

    store: Store
    receipts: Receipts
    settings: Settings
    dry_run: bool = False

    def clear(self, recognitions: Recognitions, chosen: Iterable[Cached]) -> Cleared:
        """Remove recognitions, but for those that a run may be using.

        Receipts go first, then we look once more for runs at work. A run that comes later finds no receipt: it looks
        for the recognition under its lease, and writes what it finds anew, which we see.
        """
        chosen = list(chosen)
        free = self._free(recognitions, chosen)
        for key in (key for cached in free for key in recognitions.leading.get(cached.reading, ())):
            self._remove_receipt(key)
        removed = [cached for cached in self._free(recognitions, free) if self._remove(cached)]
        return Cleared(
            recognitions=len(removed),
            size=sum(cached.size for cached in removed),
            in_use=len(chosen) - len(removed),
        )

    def tidy(self, recognitions: Recognitions) -> Cleared:
        """Remove what leads nowhere or belongs to the dead: receipts, leases and pages a day old, scratch folders.

        Where stores share their receipts nobody can tell whose they are, and they stay: to a run they are a miss.
        """
        receipts = {} if self.receipts.shared else recognitions.receipts
        stale = [key for key, receipt in receipts.items() if stat_or_none(self.store, receipt.artefact) is None]
        standing = chain(self.store.list(keys.LOCKS), _claims(self.store))
        leases = [found.key for found in standing if found.age > max(DAY_SECONDS, self.settings.lease_seconds)]
        pages = [found.key for found in self.store.list(keys.PAGES) if found.age > DAY_SECONDS]
        with scratch_folder(self.settings.scratch):  # whoever makes one removes those of the dead
            return Cleared(
                receipts=sum(self._remove_receipt(key) for key in stale),
                leases=sum(self.dry_run or self._is_given_up(key) for key in leases),
                pages=sum(self._remove_page(key) for key in pages),
            )

    def _free(self, recognitions: Recognitions, chosen: list[Cached]) -> list[Cached]:
        at_work = _AtWork(self.store, recognitions, self.settings.lease_seconds)
        return [cached for cached in chosen if not at_work.may_use(cached)]

    def _remove_receipt(self, key: str) -> bool:
        if not self.dry_run:
            self.receipts.remove(key)
        return True

    def _remove_page(self, key: str) -> bool:
        if not self.dry_run:
            self.store.remove(key)
        return True

    def _remove(self, cached: Cached) -> bool:
        if self.dry_run:
            return True
        with self._held(keys.lock(cached.artefact)) as held:
            standing = stat_or_none(self.store, cached.artefact) if held else None
            is_as_chosen = standing is not None and standing.modified == cached.written
            if is_as_chosen:
                for counts in self.store.list(keys.all_counts(*cached.reading)):
                    self.store.remove(counts.key)
                self.store.remove(cached.artefact)
            return is_as_chosen

    def _is_given_up(self, key: str) -> bool:
        """Take over a lease as any run would, and give it up: so one that is renewed in this moment stays."""
        with self._held(key) as held:
            return held

    @contextmanager
    def _held(self, key: str) -> Iterator[bool]:
        """The lease on a key, if it is to be had at once."""
        lease = Lease(self.store, key, ttl=self.settings.lease_seconds)
        held = lease.acquire(0)
        try:
            yield held
        finally:
            if held:
                lease.release()


class _AtWork:
    """What runs that are at work may be using: looked at once."""

    def __init__(self, store: Store, recognitions: Recognitions, lease_seconds: float) -> None:
        live = {claim.key.split("/")[1] for claim in _claims(store) if claim.age <= lease_seconds}
        self._used: set[RecognitionId] = set()
        batch = any(lease.age <= lease_seconds for lease in store.list(keys.BATCH_LOCKS))
        self._is_quiet = not live and not batch
        for picture in store.list(keys.INPUT) if live else ():
            delivery = Delivery(upload=Upload(key=picture.key), picture=picture).id
            if delivery in live:
                live.discard(delivery)
                receipts = [recognitions.receipts.get(key) for key in recognitions.receipts_of(picture)]
                self._used |= {RecognitionId(each.content, each.fingerprint) for each in receipts if each}
        self._is_known = not live and not batch
        """Others work on pictures that stand elsewhere, or have gone, or are answered anew on purpose; and a batch
        claims its pictures only to answer them."""

    def may_use(self, cached: Cached) -> bool:
        """While any run is at work, what is younger than a day may be its own."""
        if self._is_quiet:
            return False
        return not self._is_known or cached.age < DAY_SECONDS or cached.reading in self._used


def _claims(store: Store) -> Iterator[StoredObject]:
    return (found for found in store.list(keys.STATE) if found.key.endswith("/claim"))
