"""How a picture that comes over the web gets into the store. What reads it is started by the store's own event.

An upload has an id that nobody can guess, and its picture a key of its own below input/web/. Nothing starts a run here:
an object under input/ rings the receiver, as any other does, and the sweep finds what no event announced.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from inktally import keys
from inktally.delivery import Delivery, Upload
from inktally.errors import UnsupportedFormat
from inktally.imaging.decoding.formats import HEAD, PICTURE_SUFFIXES, READ, suffix_of
from inktally.intake.status import delivery_or_none
from inktally.lease import leased
from inktally.mail.message import valid_address
from inktally.ports import Store, stat_or_none
from inktally.settings import Settings
from inktally.steps.choices import UploadOptions
from inktally.steps.recognising import check_size

ID_BYTES = 16
ONCE_SECONDS = 5.0
DIGEST = "digest"
ID = re.compile(r"[A-Za-z0-9_-]{22}")
"""An upload's id. Whoever has it may ask for the results."""
LONGEST_NAME = 160  # bytes; outputs add to it, and a file system takes 255
UNUSABLE = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Separators of folders, controls, line ends, and what is no character; all else may stand in a name."""


def new_id() -> str:
    """128 random bits, url-safe (22 characters)."""
    return secrets.token_urlsafe(ID_BYTES)


def picture_name(name: str, suffix: str = "") -> str:
    """`name` without its folders, as the last part of a key; `suffix` is added to one that no picture has.

    Raises `UnsupportedFormat` when it then still has none: nobody would take it for a picture.
    """
    last = UNUSABLE.sub("_", re.split(r"[/\\]", name)[-1]).strip().lstrip(". ") or "picture"
    present = PurePosixPath(last).suffix
    if present.lower() not in PICTURE_SUFFIXES:
        if not suffix:
            raise UnsupportedFormat(f"{present or 'A name without an ending'} is no picture; {READ}.")
        last, present = last + suffix, suffix
    stem = last.removesuffix(present).encode()[: LONGEST_NAME - len(present)].decode(errors="ignore")
    return stem + present


def metadata(
    email: str = "", language: str = "", wishes: UploadOptions | None = None, digest: str = ""
) -> dict[str, str]:
    """What travels with the object. Raises `RecipientRefused` for what is no address."""
    given = {"email": valid_address(email) if email else "", "language": language, DIGEST: digest}
    return {name: value for name, value in given.items() if value} | (wishes.as_metadata() if wishes else {})


def receive(
    store: Store,
    content: bytes | Path,
    settings: Settings,
    *,
    name: str = "",
    upload_id: str = "",
    email: str = "",
    language: str = "",
    wishes: UploadOptions | None = None,
    digest: str = "",
) -> Delivery:
    """Put a picture, once for an id. Nothing is decoded, but for the first bytes, which tell what it is.

    `digest` is kept with it, so that what is sent again under the same id can be told from something else.

    Raises `EmptyPicture`, `NotAPicture`, `UnsupportedFormat`, `TooLarge`, `RecipientRefused`, and `Overwritten` when
    the upload has come before.
    """
    upload_id, name = upload_id or new_id(), checked_name(content, name, settings)
    key = keys.from_web(upload_id, name)
    put = store.put(key, content, metadata=metadata(email, language, wishes, digest), if_absent=True)
    upload = Upload(key=key, store=store.uri, version=put.version, etag=put.etag)
    return Delivery(upload=upload, picture=put if put.version else stat_or_none(store, key) or put)


@contextmanager
def once(store: Store, upload_id: str, settings: Settings) -> Iterator[Delivery | None]:
    """Hold an id that may come twice while its picture is put; what has come under it before, whatever became of it.

    Raises `Busy` when it is still coming.
    """
    name = keys.lock(keys.from_web(upload_id))
    with leased(store, name, ttl=settings.lease_seconds, timeout=ONCE_SECONDS):
        yield delivery_or_none(store, upload_id)


def checked_name(content: bytes | Path, name: str, settings: Settings) -> str:
    """The name of what looks like a picture. Raises `EmptyPicture`, `NotAPicture`, `UnsupportedFormat`, `TooLarge`."""
    head, size = _head_and_size(content)
    check_size(size, settings)
    return picture_name(name, suffix_of(head))


def _head_and_size(content: bytes | Path) -> tuple[bytes, int]:
    if isinstance(content, bytes):
        return content[:HEAD], len(content)
    with content.open("rb") as file:
        return file.read(HEAD), content.stat().st_size
