"""The requests to one bucket, their answers as values, and the vendor's errors as ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import botocore.loaders
import botocore.session
from botocore import exceptions as boto
from botocore.config import Config
from botocore.loaders import Loader

from inktally.delivery import PostForm, StoredObject
from inktally.errors import AccessDenied, BadSettings, InktallyError, NotFound, Overwritten, StoreDown
from inktally.stores.s3.headers import bare, base64_of, date, decoded, encoded, sha256_of, time_of, version_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
CONNECTIONS = 32
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 20, 3
LOST_PUTS = 5

DENIED = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "OperationAborted"}
UNWRITABLE = re.compile("[\\x00-\\x1f\ufffe\uffff]")
NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.UnauthorizedSSOTokenError,
)


class HistoryEntry(NamedTuple):
    """A version, or a delete marker, in a key's history; `version` may be "null"."""

    version: str
    modified: datetime


@dataclass(frozen=True)
class Bucket:
    """What is asked of one bucket, over one client per process; conditions are passed on as they are."""

    name: str
    endpoint: str
    region: str

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"

    def address(self, key: str) -> str:
        return f"{self.uri}/{key}"

    @cached_property
    def versioned(self) -> bool:
        """Whether the bucket keeps, or once kept, versions. Raises `NotFound` when there is no such bucket."""
        with self._errors():
            try:
                return bool(self._client.get_bucket_versioning(Bucket=self.name).get("Status"))
            except boto.ClientError as error:
                if error.response["Error"].get("Code") in {"NotImplemented", "501"}:
                    return False
                raise

    def stat(self, key: str, version: str = "") -> StoredObject:
        """A version id that the store finds malformed is one that does not exist."""
        found = self._stated(key, version)
        return found if not found.sha256 or self.verifies_checksums else found.model_copy(update={"sha256": ""})

    def _stated(self, key: str, version: str = "") -> StoredObject:
        """As the store says, which may repeat a SHA-256 that it has not verified."""
        try:
            with self._errors(key):
                response = self._client.head_object(**self._named(key, version), ChecksumMode="ENABLED")
                found = _described(key, response, response["ContentLength"], date(response))
                return found.model_copy(update={"sha256": sha256_of(response)})
        except BadSettings as error:
            if not version:
                raise
            raise NotFound(f"There is no version {version} of {key}.") from error

    @cached_property
    def verifies_checksums(self) -> bool:
        """Whether a SHA-256 that the bucket tells is one of the bytes; some stores repeat whatever a sender stated."""
        return False

    def read(self, key: str) -> bytes:
        with self._errors(key):
            return self._client.get_object(**self._named(key))["Body"].read()

    def download(self, source: StoredObject, path: Path) -> str:
        condition: Any = {} if source.version else {"IfMatch": f'"{source.etag}"'}
        with self._errors(source.key):
            response = self._client.get_object(**self._named(source.key, source.version), **condition)
            found = _described(source.key, response, response["ContentLength"], date(response))
            if not found.same_version(source):
                raise self.overwritten(source.key)
            digest = sha256()
            with path.open("wb") as file:
                for chunk in response["Body"].iter_chunks(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
            return digest.hexdigest()

    def put_object(
        self,
        key: str,
        content: bytes | Path,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str = "",
        sha256: str = "",
    ) -> StoredObject:
        """One request, streamed from a file (5 GB at most). Ceph understands an If-Match without quotes only.

        `sha256` (hex) is verified by stores that know checksums; others take no notice of it.
        """
        condition: Any = ({"IfNoneMatch": "*"} if if_absent else {}) | ({"IfMatch": if_match} if if_match else {})
        headers = {name.lower(): encoded(value) for name, value in (metadata or {}).items()}
        with ExitStack() as stack:
            body = stack.enter_context(content.open("rb")) if isinstance(content, Path) else content
            size = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
            stack.enter_context(self._errors(key, replacing=bool(if_match)))
            checksum: Any = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": base64_of(sha256)} if sha256 else {}
            request = {**self._named(key), "Body": body, "Metadata": headers, **condition, **checksum}
            response = self._put_again_if_lost(request, replacing=bool(if_match))
        etag, version, answered = bare(response["ETag"]), version_of(response), time_of(date(response))
        return StoredObject(key=key, etag=etag, size=size, version=version, modified=answered)

    def post_form(
        self, key: str, *, metadata: Mapping[str, str], content_type: str, max_bytes: int, seconds: int
    ) -> PostForm:
        """A POST policy for one object: all but the bytes is fixed. The key must not hold `${filename}`."""
        fields: dict[str, Any] = {f"x-amz-meta-{name.lower()}": encoded(value) for name, value in metadata.items()}
        fields |= {"Content-Type": content_type, "success_action_status": "201"}
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        conditions.append(["content-length-range", 1, max_bytes])
        with self._errors(key):
            signed = self._client.generate_presigned_post(self.name, key, fields, conditions, seconds)
        return PostForm(url=signed["url"], fields=signed["fields"])

    def _put_again_if_lost(self, request: Any, *, replacing: bool) -> Any:
        """Ceph 16 may answer NoSuchKey to a PUT, and not do it, while another erases a version of that key."""
        for lost in range(LOST_PUTS + 1):
            try:
                return self._client.put_object(**request)
            except boto.ClientError as error:
                if replacing or lost == LOST_PUTS or error.response["Error"].get("Code") != "NoSuchKey":
                    raise
                if hasattr(request["Body"], "seek"):
                    request["Body"].seek(0)
        raise AssertionError("the last attempt returns or raises")

    def copy_object(self, source: StoredObject, key: str, storage_class: str = "") -> StoredObject:
        options: Any = {"StorageClass": storage_class} if storage_class else {}
        if not source.version:
            options["CopySourceIfMatch"] = f'"{source.etag}"'
        with self._errors(source.key):
            origin = self._named(source.key, source.version)
            self._client.copy_object(**self._named(key), CopySource=origin, **options)
        return self.stat(key)

    def erase(self, key: str, version: str = "", *, if_match: str = "") -> None:
        """Delete; nothing there is no error."""
        condition: Any = {"IfMatch": if_match} if if_match else {}
        with suppress(NotFound), self._errors(key):
            self._client.delete_object(**self._named(key, version), **condition)

    def history(self, key: str) -> tuple[list[HistoryEntry], list[HistoryEntry]]:
        """The versions of `key` and its delete markers, the newest first."""
        found: dict[str, list[HistoryEntry]] = {"Versions": [], "DeleteMarkers": []}
        for page in self._pages("list_object_versions", key):
            for kind, entries in found.items():
                mine = (entry for entry in page.get(kind, []) if entry["Key"] == key)
                entries.extend(HistoryEntry(entry["VersionId"], entry["LastModified"]) for entry in mine)
            if page.get("NextKeyMarker", key) > key:
                break
        return found["Versions"], found["DeleteMarkers"]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        operation, entries = ("list_object_versions", "Versions") if self.versioned else ("list_objects_v2", "Contents")
        for page in self._pages(operation, prefix):
            now = date(page)
            found = (entry for entry in page.get(entries, []) if entry.get("IsLatest", True))
            mine = (entry for entry in found if entry["Key"].startswith(prefix))
            yield from (_described(entry["Key"], entry, entry["Size"], now) for entry in mine)

    def overwritten(self, key: str) -> Overwritten:
        return Overwritten(f"{key} in the store is not, or no longer, what was expected there.")

    def _pages(self, operation: Any, prefix: str) -> Iterator[dict[str, Any]]:
        """Pages of what begins with `prefix`, and maybe more: Ceph 16 repeats it raw, where XML has no such letter."""
        writable = UNWRITABLE.split(prefix, maxsplit=1)[0]
        with self._errors(prefix):
            yield from self._client.get_paginator(operation).paginate(Bucket=self.name, Prefix=writable)

    def _named(self, key: str, version: str = "") -> Any:
        return {"Bucket": self.name, "Key": key} | ({"VersionId": version} if version else {})

    @property
    def _client(self) -> S3Client:
        try:
            return _connected(self.endpoint, self.region, os.getpid())
        except (boto.BotoCoreError, ValueError) as error:
            raise BadSettings(f"No S3 client can be made for {self.uri}: {error}") from error

    @contextmanager
    def _errors(self, key: str = "", *, replacing: bool = False) -> Iterator[None]:
        """Translate the vendor's errors; `replacing`: the request expects an object to be there."""
        try:
            yield
        except boto.ClientError as error:
            raise self._translated(error, key, replacing=replacing) from error
        except NO_CREDENTIALS as error:
            raise AccessDenied(f"There are no usable credentials for {self.uri}: {error}") from error
        except (boto.ParamValidationError, boto.NoRegionError) as error:
            raise BadSettings(f"{self.address(key)} cannot be asked for: {error}") from error
        except boto.BotoCoreError as error:
            raise StoreDown(f"{self.uri} cannot be reached at {self._where}: {error}") from error

    def _translated(self, error: boto.ClientError, key: str, *, replacing: bool) -> InktallyError:
        code, status = error.response["Error"].get("Code"), error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code == "NoSuchBucket":
            return BadSettings(f"There is no bucket {self.name} at {self._where}; make it, or name another.")
        absent = status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}  # the latter for a delete marker
        if status == HTTPStatus.PRECONDITION_FAILED or code == "ConditionalRequestConflict" or (replacing and absent):
            return self.overwritten(key)
        if absent:
            return self._missing(key, named=code in {"NoSuchKey", "NoSuchVersion"})
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} or code in DENIED:
            return AccessDenied(
                f"{self._where} does not let us use {self.address(key)}: {error}. Check the credentials, what they "
                "allow (without s3:ListBucket a missing object looks like this, too), and the clock."
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS or code in BUSY:
            return StoreDown(f"{self._where} could not serve {self.address(key)}: {error}. Try again later.")
        return BadSettings(f"{self._where} refuses {self.address(key)}: {error}. Check the key, region and settings.")

    def _missing(self, key: str, *, named: bool) -> InktallyError:
        """The answer to a HEAD does not say whether it is the object or the bucket that is missing."""
        if not named:
            try:
                _ = self.versioned
            except InktallyError as error:
                return error
        return NotFound(f"There is no {key} in the store.")

    @property
    def _where(self) -> str:
        return self._client.meta.endpoint_url


@lru_cache(maxsize=64)
def _connected(endpoint: str, region: str, process: int) -> S3Client:  # noqa: ARG001 - no connection survives a fork
    """One client for all threads of a process."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path"} if endpoint else None,
        request_checksum_calculation="when_required",  # Ceph 16 knows no checksums in trailers
        response_checksum_validation="when_required",
    )
    return _session(region).client("s3", endpoint_url=endpoint or None, config=config)


def _session(region: str) -> boto3.session.Session:
    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    return boto3.session.Session(botocore_session=core, region_name=region or None)


@lru_cache
def _loader() -> Loader:
    """What botocore reads of S3's interface for a first client takes 0.25 s; for those that share it, 0.01 s."""
    return botocore.loaders.create_loader()


def load_models() -> None:
    """Read what the first client needs, so that processes that are forked from this one have it."""
    _session("us-east-1").client("s3", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106


def _described(key: str, facts: Any, size: int, now: datetime) -> StoredObject:
    """From the answer to a HEAD or a GET, or from an entry of a list, which has no metadata."""
    return StoredObject(
        key=key,
        etag=bare(facts["ETag"]),
        size=size,
        version=version_of(facts),
        modified=time_of(facts["LastModified"]),
        age=max(0.0, (now - facts["LastModified"].replace(microsecond=0)).total_seconds()),
        metadata={name.lower(): decoded(value) for name, value in facts.get("Metadata", {}).items()},
    )
