"""What is noted down of a delivery in the store: that it has been answered, mailed, or claimed."""

import logging
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from inktally import keys
from inktally.delivery import Delivery, Outcome
from inktally.errors import NotFound, Overwritten, StoreDown
from inktally.ports import Store, stat_or_none
from inktally.settings import Settings

logger = logging.getLogger(__name__)

PATIENCE_SECONDS, SHORTEST_PAUSE, LONGEST_PAUSE = 60.0, 0.1, 2.0


def outcome_of(store: Store, delivery: Delivery) -> Outcome | None:
    """How this delivery was answered; None when it has not been. Of a marker that cannot be read: only that it was."""
    try:
        return Outcome.model_validate_json(store.read(keys.marker(delivery.id, "answered")), extra="ignore")
    except NotFound:
        return None
    except ValidationError:
        return Outcome(upload=store.address(delivery.picture.key), etag=delivery.picture.etag)


def is_answered(store: Store, delivery: Delivery) -> bool:
    return stat_or_none(store, keys.marker(delivery.id, "answered")) is not None


def is_mailed(store: Store, delivery: Delivery) -> bool:
    """Whether somebody has been told how it ended, by the run or later."""
    return stat_or_none(store, keys.marker(delivery.id, "mailed")) is not None


def is_at_work(store: Store, delivery: Delivery, settings: Settings) -> bool:
    """Whether a living run has claimed this delivery."""
    claim = stat_or_none(store, keys.marker(delivery.id, "claim"))
    return claim is not None and claim.age <= settings.lease_seconds


def mark_answered(store: Store, delivery: Delivery, outcome: Outcome) -> None:
    """Write down that this delivery is done."""
    mark(store, keys.marker(delivery.id, "answered"), outcome.model_dump_json().encode())


def mark(store: Store, marker: str, content: bytes) -> None:
    try:
        patiently(store.put, marker, content, if_absent=True)
    except Overwritten:
        logger.info("%s stands already", marker)


def patiently(write: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Write down what was dear, or cannot be undone, and so must not be done again: try for a minute."""
    give_up, pause = time.monotonic() + PATIENCE_SECONDS, SHORTEST_PAUSE
    while True:
        try:
            write(*arguments, **options)
        except StoreDown:
            if time.monotonic() > give_up:
                raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            return
