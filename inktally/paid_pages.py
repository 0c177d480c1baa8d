"""What paid engines may cost: pages a day on this machine, kept in the cache folder.

They are kept here and not in the store, because they change with every page, and because whoever pays for several
machines gives each its share. Days are those of UTC, as they are on the bill.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inktally.errors import CostCapReached
from inktally.modes import make_folder

WIDTH = 12
"""Digits of a count, blanks included: each is written over the last in one call, which a kill cannot divide."""


@dataclass(frozen=True)
class Ledger:
    """Today's paid pages, in a file that all processes of this machine share; `price` is in US dollars a page.

    A page is counted before it is sent, so whoever is killed in the middle has counted one too many, never too few.
    """

    folder: Path
    pages_a_day: int
    price: float

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Take a page from today's; it is given back when what it was for fails. Raises `CostCapReached`."""
        day = _today()
        self._add(day, 1)
        try:
            yield
        except BaseException:
            self._add(day, -1)
            raise

    @property
    def spent(self) -> int:
        """The pages of today."""
        file = self.folder / _today()
        return int(file.read_text() or 0) if file.exists() else 0

    def _add(self, day: str, pages: int) -> None:
        make_folder(self.folder)
        with (self.folder / day).open("a+"), (self.folder / day).open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            spent = int(file.read() or 0)
            if pages > 0 and spent + pages > self.pages_a_day:
                raise CostCapReached(
                    f"Paid engines have read {spent} pages (${spent * self.price:.2f}) today, and may read "
                    f"{self.pages_a_day}; raise INKTALLY_PAID_PAGES_PER_DAY, or wait for tomorrow."
                )
            os.pwrite(file.fileno(), b"%*d" % (WIDTH, spent + pages), 0)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
