"""A bucket of an S3 store: AWS, Ceph, MinIO and their like.

Stores differ in the conditions they honour. Each bucket is tried once an hour (`_conditional_puts`,
`_conditional_deletes`, `verifies_checksums`) and asked by each process whether it is `versioned`, which decides much;
nothing is concluded from the store's name.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from uuid import uuid4

from inktally import keys
from inktally.delivery import StoredObject
from inktally.errors import AccessDenied, BadSettings, NotFound, Overwritten, StoreDown, UnsafeDelete
from inktally.settings import Settings
from inktally.stores.s3.bucket import Bucket
from inktally.stores.s3.recent import Recent
from inktally.stores.s3.remembered import Remembered

logger = logging.getLogger(__name__)

WRONG_ETAG = "0" * 32
PATIENCE_SECONDS = 5
"""How long others may be before us, beside one who has died."""


def build(uri: str, settings: Settings) -> S3Store:
    """The store at s3://bucket, one for the whole process. Raises `BadSettings`."""
    name, _, prefix = uri.removeprefix("s3://").partition("/")
    if not name or prefix:
        raise BadSettings(f"{uri} is no store: write s3://bucket, with nothing after the bucket's name.")
    remembered = Remembered(settings.cache / "buckets")
    return _opened(name, settings.s3_endpoint, settings.s3_region, settings.lease_seconds, remembered)


@dataclass(frozen=True)
class S3Store(Bucket):
    """A `Store`. Its times have the resolution of the Last-Modified header, whole seconds.

    The turn of one who has died holds up the others for `stale_turn_seconds`, no less than a lease lasts: then a holder
    that was stopped in the middle of a renewal, and goes on when another has taken the lease, knows that it is over.
    """

    stale_turn_seconds: float
    remembered: Remembered
    _recent: Recent = field(default_factory=Recent, init=False, compare=False)
    """Of recognitions and their counts: their keys tell the content, so whoever writes them anew writes the same."""
    _left_behind: set[str] = field(default_factory=set, init=False, compare=False)
    """The versions of turns that we could not give up."""

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> StoredObject:
        """A request whose answer was lost is sent again, so a write that did take place may report `Overwritten`.

        Of pictures the store is told the SHA-256, so that it can tell us later.
        """
        sha256 = _sha256(content) if key.startswith(keys.INPUT) else ""
        if not (if_absent or if_match) or self._conditional_puts:
            put = self.put_object(key, content, metadata, if_absent=if_absent, if_match=if_match, sha256=sha256)
            self._hold(key, content)
            return put
        if if_absent:
            return self._put_first(key, content, metadata, sha256)
        with self._turn(key):
            if self._etag(key) != if_match:
                raise self.overwritten(key)
            return self.put_object(key, content, metadata, sha256=sha256)

    def read(self, key: str) -> bytes:
        held = self._recent.get(key)
        if held is None:
            held = super().read(key)
            self._hold(key, held)
        return held

    def _hold(self, key: str, content: bytes | Path) -> None:
        if key.startswith(keys.RECOGNITIONS) and isinstance(content, bytes):
            self._recent.hold(key, content)

    def copy(self, source: StoredObject, key: str, *, storage_class: str = "") -> StoredObject:
        """Into the store's default storage class where it knows no such one (Ceph has STANDARD only)."""
        if not storage_class:
            return self._copy(source, key)
        try:
            return self._copy(source, key, storage_class)
        except BadSettings as error:
            logger.warning("copied without the storage class %s: %s", storage_class, error)
            return self._copy(source, key)

    def delete(self, target: StoredObject) -> None:
        self._recent.drop(target.key)
        if target.version:
            return self.erase(target.key, target.version)
        try:
            self._expect(target)
        except NotFound:
            return None
        if not self._conditional_deletes:
            raise UnsafeDelete(
                f"{self.address(target.key)} was kept: this store cannot delete one very version of it. "
                "Turn on versioning for the bucket, or keep the pictures."
            )
        return self.erase(target.key, if_match=target.etag)

    def remove(self, key: str) -> None:
        """In a versioned bucket all versions go, the oldest first, so that no earlier one shows in between."""
        self._recent.drop(key)
        if not self.versioned:
            return self.erase(key)
        versions, markers = self.history(key)
        for entry in [*reversed(versions), *reversed(markers)]:
            self.erase(key, entry.version)
        return None

    def _copy(self, source: StoredObject, key: str, storage_class: str = "") -> StoredObject:
        """Ceph 16 ignores the condition on the source, so one without a version is looked at before and after."""
        if source.version:
            return self.copy_object(source, key, storage_class)
        self._expect(source)
        copied = self.copy_object(source, key, storage_class)
        try:
            self._expect(source)
        except (NotFound, Overwritten):
            self.erase(key, copied.version)
            raise
        return copied

    def _expect(self, expected: StoredObject) -> None:
        """Raises `NotFound` or `Overwritten` unless this very object stands there."""
        if not self.stat(expected.key).same_version(expected):
            raise self.overwritten(expected.key)

    def _etag(self, key: str) -> str:
        """Empty when there is no object."""
        try:
            return self.stat(key).etag
        except NotFound:
            return ""

    # Which conditions this bucket honours

    @cached_property
    def _conditional_puts(self) -> bool:
        """Whether If-None-Match and If-Match decide a PUT; Ceph 16 does not heed them in a versioned bucket.

        There, the order of the versions decides instead. Without versions there is no safe way at all.
        """
        return self._remembered("conditional puts", self._tries_conditional_puts)

    def _tries_conditional_puts(self) -> bool:
        with self._scratch() as scratch:
            key, etag = scratch.key, scratch.etag
            honoured = (
                not self._puts(key, if_absent=True)
                and not self._puts(key, if_match=WRONG_ETAG)
                and self._puts(key, if_match=etag)
            )
        if honoured or self.versioned:
            return honoured
        raise BadSettings(
            f"{self.uri} ignores conditional writes (If-None-Match, If-Match), so two runs could do the same work. "
            "Turn on versioning for the bucket, or use a store that honours them."
        )

    @cached_property
    def verifies_checksums(self) -> bool:
        """Whether a PUT with the SHA-256 of other bytes is refused; of a bucket that we may only read, nobody knows."""
        with suppress(AccessDenied):
            if self._remembered("checksums", self._tries_checksums):
                return True
        logger.warning("%s does not verify checksums, so none that it tells is believed.", self.uri)
        return False

    def _tries_checksums(self) -> bool:
        with self._scratch() as scratch:
            try:
                self.put_object(scratch.key, b"scratch", sha256=hashlib.sha256(b"other bytes").hexdigest())
            except BadSettings:
                return True
        return False

    @cached_property
    def _conditional_deletes(self) -> bool:
        """Whether If-Match decides a DELETE; Ceph 16 deletes regardless."""
        return self._remembered("conditional deletes", self._tries_conditional_deletes)

    def _tries_conditional_deletes(self) -> bool:
        with self._scratch() as scratch:
            with suppress(Overwritten, BadSettings):
                self.erase(scratch.key, if_match=WRONG_ETAG)
            return self._etag(scratch.key) == scratch.etag

    def _remembered(self, question: str, ask: Callable[[], bool]) -> bool:
        """Of this bucket, as long as it keeps versions, or keeps none."""
        return self.remembered.answer(ask, self.endpoint, self.region, self.name, str(self.versioned), question)

    @contextmanager
    def _scratch(self) -> Iterator[StoredObject]:
        """An object to try things on."""
        key = keys.lock(f"scratch {uuid4()}")
        try:
            yield self.put_object(key, b"scratch")
        finally:
            self.remove(key)

    def _puts(self, key: str, *, if_absent: bool = False, if_match: str = "") -> bool:
        try:
            self.put_object(key, b"scratch", if_absent=if_absent, if_match=if_match)
        except Overwritten:
            return False
        return True

    # Where it honours none, but keeps versions: their order is the same for all who look, and decides

    def _put_first(
        self, key: str, content: bytes | Path, metadata: Mapping[str, str] | None = None, sha256: str = ""
    ) -> StoredObject:
        """Put, and take it back when another was there before; what lies before a delete marker does not count."""
        if self._etag(key):
            raise self.overwritten(key)
        mine = self.put_object(key, content, metadata, sha256=sha256)
        versions, markers = self.history(key)
        live = [entry.version for entry in versions if all(entry.modified > marker.modified for marker in markers)]
        if live[-1:] != [mine.version]:
            self.erase(key, mine.version)
            raise self.overwritten(key)
        return mine

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """Be the only one to replace `key`. The turn of one who has died ends when it is stale."""
        turn = self._take(keys.lock(f"turn {key}"))
        try:
            yield
        finally:
            try:
                self.delete(turn)
            except StoreDown as error:
                self._left_behind.add(turn.version)
                logger.warning("a turn is left behind: %s", error)

    def _take(self, key: str) -> StoredObject:
        mine, deadline = uuid4().bytes, time.monotonic() + self.stale_turn_seconds + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(Overwritten):
                return self._put_first(key, mine)
            with suppress(NotFound):
                standing = self.stat(key)
                if self.read(key) == mine:  # the answer was lost, and it was sent twice
                    return standing
                if standing.age > self.stale_turn_seconds or standing.version in self._left_behind:
                    self.delete(standing)
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - jitter, not a secret
        raise StoreDown(f"{self.address(key)}: others have been writing all the time; try again.")


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_opened = lru_cache(maxsize=64)(S3Store)
