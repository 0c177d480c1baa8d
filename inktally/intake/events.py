"""What buckets tell of themselves, in each sender's own JSON, as the uploads that were announced.

Read are the records of S3, Ceph and MinIO, the events of EventBridge, and any of them inside a message of SNS or SQS;
and the records of web/hooks/folder.py, which speak of the folder that is the worker's own store, and name no other.
Keys come in three spellings, and are decoded here, once: S3 and MinIO encode them as forms do (a blank is a plus),
the others write them as they are. An event only says "look now", so an upload bears no ETag: which object is
answered is decided by what stands in the store.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import unquote_plus

from inktally import keys
from inktally.delivery import Upload
from inktally.document import Value, sha256_of
from inktally.errors import BadEvent
from inktally.imaging.decoding.formats import is_picture

DEEPEST = 4  # messages inside messages: SQS, SNS, the event itself, and one to spare
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OWN_FOLDER = "inktally:folder"
FORM_ENCODED = {"aws:s3": True, "minio:s3": True, "ceph:s3": False, OWN_FOLDER: False}

Reason = Literal["test message", "not created", "outside input", "no picture", "unreadable"]


class Arrival(Value):
    """An upload that was announced, and what tells this put of the object from any other."""

    upload: Upload
    etag: str = ""
    moment: str = ""

    @property
    def id(self) -> str:
        """SHA-256 (hex); the same put has the same one, whoever tells of it and however often."""
        version = self.upload.version or f"{self.etag} {self.moment}"
        return sha256_of(self.upload.store, self.upload.key, version)


class LeftOut(Value):
    """Something in a message that starts no run, and why."""

    reason: Reason
    what: str = ""


class Announced(Value):
    """All that one message tells."""

    arrivals: tuple[Arrival, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of the message was understood."""
        return all(each.reason != "unreadable" for each in self.left_out)


def announced(message: Any) -> Announced:
    """The uploads that a message, decoded from its JSON, announces, each once, and what it has besides.

    Raises `BadEvent` when nothing in it can be understood, now or ever.
    """
    found = list(_told(message, DEEPEST))
    left_out = tuple(each for each in found if isinstance(each, LeftOut))
    if left_out and len(left_out) == len(found) and all(each.reason == "unreadable" for each in left_out):
        raise BadEvent(f"No record of the message can be read: {left_out[0].what}")
    arrivals = {each.id: each for each in found if isinstance(each, Arrival)}
    return Announced(arrivals=tuple(arrivals.values()), left_out=left_out)


def decoded(body: bytes | str) -> Any:
    """JSON in UTF-8. Raises `BadEvent`, also when it is nested too deeply."""
    try:
        return json.loads(body.decode() if isinstance(body, bytes) else body)
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"The message is no JSON: {type(error).__name__}: {error}") from error


def _told(message: Any, deepest: int) -> Iterator[Arrival | LeftOut]:
    match message:
        case {"Records": [*records]}:
            for record in records:
                yield from _told_by_record(record, deepest)
        case {"source": "aws.s3", "detail-type": str(what), "detail": detail}:
            yield _of_eventbridge(what, detail)
        case {"Type": "Notification", "Message": str(inner)}:
            yield from _told_inside(inner, deepest)
        case {"Event": "s3:TestEvent"}:
            yield _left_out("test message")
        case _:
            raise BadEvent("The message is none of S3, Ceph, MinIO, EventBridge, SNS or SQS.")


def _told_by_record(record: Any, deepest: int) -> list[Arrival | LeftOut]:
    """A record that cannot be read does no harm to those beside it."""
    try:
        return list(_read_record(record, deepest))
    except BadEvent as error:
        return [_left_out("unreadable", str(error))]


def _read_record(record: Any, deepest: int) -> Iterator[Arrival | LeftOut]:
    match record:
        case {"eventSource": "aws:sqs", "body": str(inner)}:
            yield from _told_inside(inner, deepest)
        case {"EventSource": "aws:sns", "Sns": {"Message": str(inner)}}:
            yield from _told_inside(inner, deepest)
        case {"eventSource": str(sender), "eventName": str(what), "s3": entity} if sender in FORM_ENCODED:
            yield _of_s3(sender, what.removeprefix("s3:"), entity, _text(record, "eventTime"))
        case _:
            raise BadEvent("a record of no known sender")


def _told_inside(message: str, deepest: int) -> Iterator[Arrival | LeftOut]:
    if deepest == 0:
        raise BadEvent("Messages lie in messages too deeply.")
    yield from _told(decoded(message), deepest - 1)


def _of_s3(sender: str, what: str, entity: Any, time: str) -> Arrival | LeftOut:
    if not what.startswith("ObjectCreated:"):
        return _left_out("not created", what)
    match entity:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}:
            details, version = entity["object"], _text(entity["object"], "versionId")
            if sender == "minio:s3" and not UUID.fullmatch(version):
                version = ""  # without versioning MinIO may name one that nobody can ask for
            key = _form_decoded(key) if FORM_ENCODED[sender] else key
            store = "" if sender == OWN_FOLDER else _bucket(bucket)
            return _arrival(store, key, version, _text(details, "eTag"), _text(details, "sequencer") or time)
    raise BadEvent("a record without bucket and key")


def _of_eventbridge(what: str, detail: Any) -> Arrival | LeftOut:
    if what != "Object Created":
        return _left_out("not created", what)
    match detail:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}:
            version, etag, moment = (_text(detail["object"], name) for name in ("version-id", "etag", "sequencer"))
            return _arrival(_bucket(bucket), key, version, etag, moment)
    raise BadEvent("The event tells neither bucket nor key.")


def _bucket(name: str) -> str:
    """The store of that name. Raises `BadEvent` for one that no bucket would bear."""
    if not BUCKET.fullmatch(name):
        raise BadEvent("no name of a bucket")
    return f"s3://{name}"


def _arrival(store: str, key: str, version: str, etag: str, moment: str) -> Arrival | LeftOut:
    """Raises `BadEvent` for keys that no store would take."""
    if not 0 < _utf8_length(key) <= keys.MAX_KEY_BYTES:
        raise BadEvent("no key of an object")
    if not key.startswith(keys.INPUT):
        return _left_out("outside input", key)
    if key.endswith("/") or not is_picture(key):
        return _left_out("no picture", key)
    version = "" if version == "null" else version
    return Arrival(upload=Upload(key=key, store=store, version=version), etag=etag.strip('"'), moment=moment)


def _left_out(reason: Reason, what: str = "") -> LeftOut:
    return LeftOut(reason=reason, what=what.encode(errors="replace").decode()[: keys.MAX_KEY_BYTES])


def _form_decoded(key: str) -> str:
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError as error:
        raise BadEvent("a key that is no UTF-8") from error


def _utf8_length(text: str) -> int:
    """In bytes; 0 for text that is no Unicode."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def _text(details: Any, name: str) -> str:
    """A detail that may be left out. Raises `BadEvent` when it is no text, or one that is no Unicode."""
    value = details.get(name) or ""
    if not isinstance(value, str) or (value and not 0 < _utf8_length(value) <= keys.MAX_KEY_BYTES):
        raise BadEvent(f"{name} is no text")
    return value
