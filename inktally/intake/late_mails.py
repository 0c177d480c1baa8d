"""Results that could not be mailed when they were ready, because nobody had confirmed the address yet."""

import logging

from pydantic import ValidationError

from inktally import keys
from inktally.delivery import Delivery, Outcome, StoredObject
from inktally.document import CountsDocument
from inktally.errors import Busy, InktallyError, NotFound, RecipientRefused
from inktally.intake import status
from inktally.lease import leased
from inktally.ports import Notifier, Store
from inktally.settings import Settings
from inktally.steps import announcing, markers

logger = logging.getLogger(__name__)

DAY_SECONDS = 24 * 60 * 60


def settle(store: Store, notifier: Notifier, settings: Settings) -> int:
    """Mail what is due and has been answered; have its run mail what has not. How many are left for later."""
    return sum(not _settled(store, notifier, settings, due) for due in list(store.list(keys.DUE)))


def _settled(store: Store, notifier: Notifier, settings: Settings, due: StoredObject) -> bool:
    """Also True for what will never be mailed."""
    try:
        delivery = status.delivery_or_none(store, due.key.removeprefix(keys.DUE))
        if delivery is None:  # never sent, or removed
            return due.age > settings.site_link_days * DAY_SECONDS and _removed(store, due)
        with leased(store, keys.lock(due.key), ttl=settings.lease_seconds, timeout=0):
            return _mailed(store, notifier, settings, due, delivery) and _removed(store, due)
    except Busy:
        return False
    except InktallyError as error:
        logger.warning("%s cannot be mailed now: %s", due.key, error)
        return False
    except Exception:  # must not hold up the others
        logger.exception("%s cannot be mailed", due.key)
        return False


def _removed(store: Store, due: StoredObject) -> bool:
    store.remove(due.key)
    return True


def _mailed(store: Store, notifier: Notifier, settings: Settings, due: StoredObject, delivery: Delivery) -> bool:
    """Also True for what somebody else has mailed, and for what cannot be."""
    try:
        address = store.read(due.key).decode()
    except NotFound:
        return True
    if announcing.recipient_of(store, delivery) != address:
        announcing.set_recipient(store, delivery, address)  # a run that has not come so far mails it itself
    outcome = markers.outcome_of(store, delivery)
    if outcome is None:
        return False
    try:
        _announce(store, notifier, settings, delivery, outcome)
    except (RecipientRefused, NotFound, ValidationError) as error:
        logger.warning("%s will not be mailed: %s", due.key, type(error).__name__)
    return True


def _announce(store: Store, notifier: Notifier, settings: Settings, delivery: Delivery, outcome: Outcome) -> None:
    if outcome.error is not None:
        announcing.announce_failure(store, notifier, delivery, outcome.error, settings)
        return
    document = CountsDocument.model_validate_json(status.output_of(store, delivery, "word_counts"))
    announcing.announce_counts(store, notifier, delivery, document, settings)
