"""How much somebody may ask for in a day, counted in the store, so that all processes count together."""

import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from inktally import keys
from inktally.errors import NotFound, Overwritten, QuotaUsedUp, StoreDown
from inktally.ports import Store

TRIES = 20
LONGEST_PAUSE = 0.1  # seconds


def seconds_left(now: datetime) -> int:
    """Until the next day begins."""
    return int((now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds()) + 1


@dataclass(frozen=True)
class Client:
    """Whom quotas are counted for: somebody, who is also part of networks (name -> how often its limit they have)."""

    name: str
    networks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Quotas:
    """Days are days of UTC."""

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def take(self, scope: str, who: str, limit: int, amount: int = 1) -> None:
        """Raises `QuotaUsedUp` when it would be more than `limit`; then nothing is taken."""
        key = keys.quota(self._today(), scope, who)
        for _ in range(TRIES):
            taken, etag = self._taken(key)
            if taken + amount > limit:
                raise QuotaUsedUp("That is more than may be asked for in one day; please come again tomorrow.")
            with suppress(Overwritten):
                self.store.put(key, str(taken + amount).encode(), if_absent=not etag, if_match=etag)
                return
            time.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 - jitter, not a secret
        raise StoreDown("Too many ask for the same at once; please try again in a moment.")

    def take_as(self, scope: str, client: Client, limit: int, amount: int = 1) -> None:
        """As `take`, of the client's own quota first: who has used that up takes nothing from the neighbours."""
        for who, times in {client.name: 1, **client.networks}.items():
            self.take(scope, who, times * limit, amount)

    def give_back(self, scope: str, who: str) -> None:
        """One that was taken today and is not needed after all."""
        self.take(scope, who, sys.maxsize, amount=-1)

    def note(self, scope: str, who: str) -> None:
        """What is not bounded, and asked for by `has_taken`."""
        self.store.put(keys.quota(self._today(), scope, who), b"1")

    def has_taken(self, scope: str, who: str) -> bool:
        """Whether they have taken, or noted, anything today."""
        return self._taken(keys.quota(self._today(), scope, who))[0] > 0

    def forget(self) -> None:
        """Remove what was counted on days that are over."""
        for counted in self.store.list(keys.QUOTAS):
            if not counted.key.startswith(f"{keys.QUOTAS}{self._today()}/"):
                self.store.remove(counted.key)

    def _taken(self, key: str) -> tuple[int, str]:
        try:
            etag = self.store.stat(key).etag
            return int(self.store.read(key)), etag
        except NotFound:
            return 0, ""

    def _today(self) -> str:
        return f"{self.now():%Y-%m-%d}"
