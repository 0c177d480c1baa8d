"""How a picture that did not come as an upload gets into the store: from a local file, or from another store."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from inktally import keys
from inktally.delivery import Delivery, StoredObject, Upload
from inktally.errors import AccessDenied, NotFound, Overwritten
from inktally.ports import Store, stat_or_none
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from inktally.steps import announcing, markers


def bring(store: Store, picture: Path, key: str, settings: Settings, *, email: str = "") -> Upload:
    """Put a copy of a local picture into the store. Raises `NotFound`, or `AccessDenied` when it may not be read."""
    if not picture.is_file():
        raise NotFound(f"There is no file {picture}.")
    metadata = {"email": email} if email else {}
    try:
        return _receive(store, picture, key, metadata, settings)
    except PermissionError as error:
        raise AccessDenied(f"{picture} may not be read; check its owner and mode.") from error


def fetch(source: Store, original: str, store: Store, key: str, *, email: str, settings: Settings) -> Upload:
    """Put a copy of another store's picture, with its metadata, into the store. Raises `NotFound`."""
    picture = source.stat(original)
    metadata = {**picture.metadata, **({"email": email} if email else {})}
    with scratch_folder(settings.scratch) as folder:
        source.download(picture, folder / "picture")
        return _receive(store, folder / "picture", key, metadata, settings)


def _receive(store: Store, picture: Path, key: str, metadata: Mapping[str, str], settings: Settings) -> Upload:
    """Put a picture, unless it stands there already: then it is a new attempt, and whoever reads it goes on."""
    with picture.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    while True:
        standing = stat_or_none(store, key)
        is_same = standing is not None and _content_of(store, standing, picture, settings) == content
        if standing and is_same and _language(standing.metadata) == _language(metadata):
            return _sent_again(store, standing, metadata.get("email", ""), settings)
        if standing and not is_same and not markers.is_answered(store, _delivery(store, standing)):
            key = keys.beside(key, content)  # somebody else's, who waits for an answer
            continue
        try:
            condition = {"if_match": standing.etag} if standing else {"if_absent": True}
            put = store.put(key, picture, metadata=metadata, **condition)
        except Overwritten:
            continue
        return Upload(key=key, store=store.uri, version=put.version, etag=put.etag)


def _content_of(store: Store, standing: StoredObject, picture: Path, settings: Settings) -> str:
    """The SHA-256 of what stands there; it is fetched only where the store does not tell, and it has the same size."""
    if standing.sha256 or standing.size != picture.stat().st_size:
        return standing.sha256
    with scratch_folder(settings.scratch) as folder:
        try:
            return store.download(standing, folder / "standing")
        except (NotFound, Overwritten):
            return ""


def _delivery(store: Store, picture: StoredObject) -> Delivery:
    return Delivery(upload=Upload(key=picture.key, store=store.uri), picture=picture)


def _sent_again(store: Store, standing: StoredObject, email: str, settings: Settings) -> Upload:
    """The same delivery while it waits for its answer; a new attempt when it has one, or will have one of another."""
    delivery = _delivery(store, standing)
    other = email != standing.metadata.get("email", "")  # who sent it first is still to be told
    again = other or markers.is_answered(store, delivery) or markers.is_at_work(store, delivery, settings)
    attempt = uuid4().hex if again else ""
    upload = Upload(key=standing.key, store=store.uri, version=standing.version, etag=standing.etag, attempt=attempt)
    if other:
        announcing.set_recipient(store, Delivery(upload=upload, picture=standing), email)
    return upload


def _language(metadata: Mapping[str, str]) -> str:
    return metadata.get("language", "")
