"""Keep, archive, delete or set aside a picture, when everything made of it is stored."""

import logging
from collections.abc import Mapping

from inktally import keys
from inktally.delivery import After, Delivery, Problem
from inktally.errors import NotFound, Overwritten, UnsafeDelete
from inktally.outputs.shared.registry import OUTPUTS
from inktally.outputs.word_counts import failure_reason
from inktally.ports import Store, stat_or_none
from inktally.settings import Settings

logger = logging.getLogger(__name__)


def dispose(store: Store, delivery: Delivery, outputs: Mapping[str, str], after: After, settings: Settings) -> None:
    """Archive or delete this very version of the picture, once all that was made of it is there.

    Where the store cannot delete one very version, the picture is kept, and a warning says so.
    """
    if after == "keep" or not outputs:
        return
    for output in outputs:
        store.stat(OUTPUTS[output].key(delivery.upload.name))
    if after == "archive":
        key = _free_key(store, keys.archived(delivery.upload.name), delivery)
        _move(store, delivery, key, storage_class=settings.archive_class)
    else:
        _delete(store, delivery)


def reject(store: Store, delivery: Delivery, problem: Problem) -> None:
    """Move a picture that cannot be read to failed/, with its reason as JSON beside it."""
    key = _free_key(store, keys.failed(delivery.upload.name), delivery)
    source = store.address(delivery.picture.key)
    store.put(key + keys.REASON, failure_reason(source=source, picture=delivery.picture, problem=problem))
    _move(store, delivery, key)


def _free_key(store: Store, key: str, delivery: Delivery) -> str:
    """`key`, or one beside it where another picture stands."""
    standing = stat_or_none(store, key)
    return key if standing is None or standing.has_bytes_of(delivery.picture) else keys.beside(key, delivery.id)


def _move(store: Store, delivery: Delivery, key: str, *, storage_class: str = "") -> None:
    try:
        store.copy(delivery.picture, key, storage_class=storage_class)
    except (NotFound, Overwritten) as error:
        logger.warning("%s is no longer there to be moved: %s", delivery.upload.key, error)
        return
    _delete(store, delivery)


def _delete(store: Store, delivery: Delivery) -> None:
    """Delete this very version, if it stands under input/: what stands elsewhere was not put there for us."""
    if not delivery.picture.key.startswith(keys.INPUT):
        return
    try:
        store.delete(delivery.picture)
    except (Overwritten, UnsafeDelete) as error:
        logger.warning("%s is kept: %s", delivery.upload.key, error)
