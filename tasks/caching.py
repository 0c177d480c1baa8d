"""How recognitions are cached by Prefect: on the picture's ETag, as plain JSON, under a lock that can expire."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.results import resolve_result_storage
from prefect.serializers import JSONSerializer

from inktally import keys
from inktally.document import Delivery, Engine, Receipt
from inktally.errors import BadResult, NotFound
from tasks import wiring
from tasks.locking import StoreLockManager

PLAIN_JSON = JSONSerializer(jsonlib="json", object_encoder=None, object_decoder=None)


def recognition_key(delivery: Delivery, engine: Engine) -> str:
    return keys.receipt(wiring.store(delivery.upload.store).uri, delivery, engine)


def cached_receipt(delivery: Delivery, engine: Engine) -> Receipt | None:
    """The receipt that is cached for a picture; None when there is none.

    The record is read as strictly as it is written. Raises `BadResult` for one that names another serializer (a
    pickle, say, which runs code when it is read), that holds anything but a receipt, or whose artefact has gone:
    such a record must never be read by Prefect, but be overwritten.
    """
    record = _cached_record(delivery, engine)
    if record is None:
        return None
    try:
        parsed = json.loads(record)
        if parsed["metadata"]["serializer"] != PLAIN_JSON.model_dump():
            raise BadResult("A cached result was not written by Inktally.")
        receipt = Receipt.model_validate_json(parsed["result"])
        wiring.store(delivery.upload.store).stat(receipt.artefact)
    except (LookupError, TypeError, ValueError, NotFound) as error:
        raise BadResult(f"A cached result cannot be used: {error}") from error
    return receipt


def _cached_record(delivery: Delivery, engine: Engine) -> bytes | None:
    storage: Any = resolve_result_storage(_result_storage(delivery.upload.store), _sync=True)  # type: ignore[call-arg]
    try:
        return bytes(storage.read_path(recognition_key(delivery, engine)))
    except Exception:  # noqa: BLE001 - each storage block has an error of its own for "not there"
        return None


@lru_cache
def recognition_cache(store: str) -> dict[str, Any]:
    """The options that make a task cache recognitions of the pictures in `store`."""
    locks = StoreLockManager(wiring.store(store), wiring.settings().lease_seconds)
    policy = CacheKeyFnPolicy(cache_key_fn=_key_of_task).configure(lock_manager=locks, isolation_level="SERIALIZABLE")
    return {
        "cache_policy": policy,
        "persist_result": True,
        "result_serializer": PLAIN_JSON,
        "result_storage": _result_storage(store),
    }


def _key_of_task(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return recognition_key(parameters["delivery"], parameters["engine"])


def _result_storage(store: str) -> str | Path:
    """The block that the settings name, else a folder: the store's own, or the user's cache."""
    settings = wiring.settings()
    if settings.result_storage:
        return settings.result_storage
    uri = wiring.store(store).uri
    if uri.startswith("s3://"):
        return settings.cache / "results"
    return Path(uri) / ".inktally" / "results"
