"""The pictures under failed/: what is wrong with each, and how one is sent on its way again."""

import json
import logging
from collections.abc import Iterator

from inktally import keys
from inktally.delivery import Problem, StoredObject, Upload
from inktally.document import Value
from inktally.errors import NotFound, Overwritten, UnsafeDelete
from inktally.ports import Store

logger = logging.getLogger(__name__)


class FailedPicture(Value):
    """A picture that could not be read, and why."""

    picture: StoredObject
    problem: Problem


def failures(store: Store, prefix: str = keys.FAILED) -> Iterator[FailedPicture]:
    """The failed pictures whose keys begin with `prefix`, as the store lists them."""
    for found in store.list(prefix):
        if not found.key.endswith(keys.REASON):
            yield FailedPicture(picture=found, problem=_reason(store, found.key))


def _reason(store: Store, key: str) -> Problem:
    try:
        told = json.loads(store.read(key + keys.REASON))
        return Problem(kind=told["kind"], message=told["message"])
    except (NotFound, ValueError, LookupError, TypeError):
        return Problem(kind="Unknown", message="No reason stands beside it.")


def put_back(store: Store, key: str) -> list[Upload]:
    """Send the failed pictures whose keys begin so on their way again. Raises `NotFound` when there are none."""
    uploads = [redrive(store, failure) for failure in list(failures(store, key)) if key.startswith(keys.FAILED)]
    if not uploads:
        raise NotFound(f"There is no picture {key}; the command without a key lists those that failed.")
    return uploads


def redrive(store: Store, failure: FailedPicture) -> Upload:
    """Put a failed picture back under input/, where it is a new delivery; then take it from failed/."""
    key = keys.INPUT + failure.picture.key.removeprefix(keys.FAILED)
    put = store.copy(failure.picture, key)
    try:
        store.delete(failure.picture)
        store.remove(failure.picture.key + keys.REASON)
    except (Overwritten, UnsafeDelete) as error:
        logger.warning("%s is kept: %s", failure.picture.key, error)
    return Upload(key=key, store=store.uri, version=put.version)
