"""How often processing a delivery has failed over its picture, so that none is tried for ever.

What counts is a failure with the picture itself under way: its reader or the writer of its outputs broke or was killed,
or the whole run was. A store, a mail server, Spark or Prefect that is down is no failure of a picture, nor is an engine
that cannot read a blank page. A picture that is sent again, or redriven, is another delivery, and begins with none.
"""

import logging
from typing import TypeVar

from inktally import keys
from inktally.delivery import Delivery, Problem
from inktally.document import Value
from inktally.errors import EngineDown, EngineFailed, InktallyError, OutputFailed, RepeatedFailure
from inktally.ports import Store, value_or_none
from inktally.settings import Settings

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=BaseException)


class Attempts(Value):
    """The failures of one delivery, the last one last."""

    failures: tuple[Problem, ...] = ()


def failed(store: Store, delivery: Delivery, error: E, settings: Settings) -> E | RepeatedFailure:
    """Note down that a run has failed by this error. The error, or `RepeatedFailure` when it was one too many."""
    if not isinstance(error, EngineFailed | OutputFailed) or isinstance(error, EngineDown):
        return error
    key = keys.marker(delivery.id, "attempts")
    try:
        before = value_or_none(store, key, Attempts) or Attempts()
        noted = Attempts(failures=(*before.failures, Problem.of(error)))
        store.put(key, noted.model_dump_json().encode())
    except InktallyError as unnoted:
        logger.warning("that %s failed could not be noted: %s", delivery.upload.key, unnoted)
        return error
    times = len(noted.failures)
    logger.warning("%s has failed %d times of %d: %s", delivery.upload.key, times, settings.max_attempts, error)
    if times < settings.max_attempts:
        return error
    return RepeatedFailure(f"Processing the picture has failed {times} times ({Problem.of(error).kind}).")


def died(store: Store, delivery: Delivery, settings: Settings) -> None:
    """Note down that the run before this one was killed over this picture. Raises `RepeatedFailure`."""
    error = failed(store, delivery, EngineFailed("The run that processed it was killed."), settings)
    if isinstance(error, RepeatedFailure):
        raise error
