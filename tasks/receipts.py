"""The receipts that Prefect keeps (tasks/caching.py), to be listed and removed."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.filesystems import LocalFileSystem

from inktally.delivery import Receipt
from inktally.errors import BadSettings
from inktally.keys import RECEIPT
from tasks import caching, wiring


class StoredReceipts:
    """`Receipts` in the result storage of one store: a folder, or an S3 bucket as prefect-aws has it."""

    def __init__(self, store: str) -> None:
        self.shared = bool(wiring.settings().result_storage) or wiring.store(store).uri.startswith("s3://")
        self._storage: Any = caching.result_storage_block(store)

    def keys(self) -> Iterator[str]:
        return (name for name in self._names() if name.startswith(RECEIPT))

    def read(self, key: str) -> Receipt | None:
        try:
            return Receipt.model_validate(json.loads(self._storage.read_path(key, _sync=True)))
        except Exception:  # noqa: BLE001 - each storage block has an error of its own for "not there"
            return None

    def remove(self, key: str) -> None:
        """First what says that it is there."""
        for path in (caching.record_of(key), key):
            if isinstance(self._storage, LocalFileSystem):
                (self._folder / path).unlink(missing_ok=True)
            else:
                storage = self._storage
                client, place = storage._get_s3_client(), storage._resolve_path(path)  # noqa: SLF001 - no way to delete
                client.delete_object(Bucket=storage.bucket_name, Key=place)

    def _names(self) -> Iterator[str]:
        if isinstance(self._storage, LocalFileSystem):
            with suppress(FileNotFoundError):
                yield from (path.name for path in self._folder.iterdir() if path.is_file())
        elif hasattr(self._storage, "list_objects"):
            yield from (Path(entry["Key"]).name for entry in self._storage.list_objects(_sync=True))
        else:
            kind = type(self._storage).__name__
            raise BadSettings(f"Receipts in a block of the type {kind} cannot be listed; remove them in its own way.")

    @property
    def _folder(self) -> Path:
        return Path(self._storage.basepath).expanduser()
