"""How a picture is recognised once: Prefect caches the receipt on the picture's ETag, as plain JSON.

No lock of Prefect's is needed: who reads a picture holds the lease on its content (inktally/steps/recognising.py), so
the same bytes are read once, however many runs ask at the same time.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect.cache_policies import CacheKeyFnPolicy
from prefect.filesystems import WritableFileSystem
from prefect.results import resolve_result_storage
from prefect.serializers import JSONSerializer

from inktally import keys
from inktally.delivery import Delivery, Receipt
from inktally.document import Engine
from inktally.errors import BadResult, BadSettings, NotFound
from inktally.steps import recognising
from tasks import wiring

NOTHING_KEPT: dict[str, Any] = {"persist_result": False, "result_storage": Path(os.devnull)}
"""Options of a flow whose result nobody needs. Without a storage, Prefect asks its server for one in each run."""
PLAIN_JSON = JSONSerializer(jsonlib="json", object_encoder=None, object_decoder=None)


class TrustedKeys(WritableFileSystem):
    """Where Prefect looks up that a result is there, and how it is to be read.

    A record names its serializer, and Prefect obeys: one that names a pickle runs code. Here a record is taken only
    if it says what we write, and Prefect gets it written anew, so that it never sees a byte of anybody else.
    """

    inner: Any

    def read_path(self, path: str, **_: bool) -> bytes:  # type: ignore[override]  # Prefect asks with _sync=True
        """Raises `ValueError` for a record that we would not have written."""
        return self._read(path)[0]

    def result(self, path: str) -> object:
        """What the record says is there. Raises what `read_path` does."""
        return self._read(path)[1]

    def _read(self, path: str) -> tuple[bytes, object]:
        """Of a result that has gone, or that a folder is just being given, there is no record either."""
        record = json.loads(self.inner.read_path(record_of(path), _sync=True))
        if record["serializer"] != PLAIN_JSON.model_dump() or Path(record["storage_key"]).name != path:
            raise ValueError(f"The record {path} was not written by Inktally.")
        ours = json.dumps({"storage_key": record["storage_key"], "serializer": PLAIN_JSON.model_dump()}).encode()
        return ours, json.loads(self.inner.read_path(path, _sync=True))

    def write_path(self, path: str, content: bytes, **_: bool) -> None:  # type: ignore[override]
        self.inner.write_path(record_of(path), content=content, _sync=True)


def record_of(key: str) -> str:
    return f"keys/{key}"


def recognition_key(delivery: Delivery, engine: Engine) -> str:
    return keys.receipt(wiring.store(delivery.upload.store).uri, delivery, engine)


def cached_receipt(delivery: Delivery, engine: Engine) -> Receipt | None:
    """The receipt that is cached for a picture; None when there is none.

    Raises `BadResult` for one that cannot be used, because it is no receipt of ours or its recognition has gone.
    """
    records = TrustedKeys(inner=result_storage_block(delivery.upload.store))
    try:
        result = records.result(recognition_key(delivery, engine))
    except Exception:  # noqa: BLE001 - each storage block has an error of its own for "not there"
        return None
    try:
        receipt = checked_receipt(result, engine)
        read_by = recognising.recognition_of(wiring.store(delivery.upload.store), receipt).engine
    except (ValueError, NotFound) as error:
        raise BadResult(f"A cached result cannot be used: {error}") from error
    if read_by.fingerprint != engine.fingerprint:
        raise BadResult("A cached result speaks of a recognition by another engine.")
    return receipt


def checked_receipt(result: object, engine: Engine) -> Receipt:
    """A task's result as a receipt. Raises `BadResult` when it speaks of anything but a recognition by this engine."""
    try:
        receipt = Receipt.model_validate(result)
    except ValueError as error:
        raise BadResult(f"A cached result is no receipt: {error}") from error
    if receipt.artefact != keys.recognition(receipt.content, engine.fingerprint):
        raise BadResult("A cached result speaks of something else than a recognition by this engine.")
    return receipt


@lru_cache
def recognition_cache(store: str) -> dict[str, Any]:
    """The options that make a task cache recognitions of the pictures in `store`."""
    policy = CacheKeyFnPolicy(
        cache_key_fn=lambda _, parameters: recognition_key(parameters["delivery"], parameters["engine"])
    ).configure(key_storage=TrustedKeys(inner=result_storage_block(store)))
    return {
        "cache_policy": policy,
        "persist_result": True,
        "result_serializer": PLAIN_JSON,
        "result_storage": _result_storage(store),
    }


def result_storage_block(store: str) -> Any:
    try:
        return resolve_result_storage(_result_storage(store), _sync=True)  # type: ignore[call-arg]
    except ValueError as error:
        wanted = "write the type and the name of a block of this Prefect server, as in s3-bucket/inktally"
        raise BadSettings(f"INKTALLY_RESULT_STORAGE cannot be used ({error}); {wanted}.") from error


def _result_storage(store: str) -> str | Path:
    """The block that the settings name, else a folder: the store's own, or the user's cache."""
    settings = wiring.settings()
    if settings.result_storage:
        return settings.result_storage
    uri = wiring.store(store).uri
    if uri.startswith("s3://"):
        return settings.cache / "results"
    return Path(uri) / ".inktally" / "results"
