"""What S3 writes into headers, as values: ETags, versions, times and metadata."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parsedate_to_datetime
from typing import Any

SHA256_BYTES = 32


def bare(etag: str) -> str:
    """An ETag without its quotes: the only place where they are lost."""
    return etag.strip('"')


def base64_of(digest: str) -> str:
    """A digest in hex as checksums are written."""
    return b64encode(bytes.fromhex(digest)).decode()


def sha256_of(answer: Mapping[str, Any]) -> str:
    """The SHA-256 (hex) of the whole object that an answer tells; empty: none, or one of the checksums of its parts."""
    told = answer.get("ChecksumSHA256", "")
    try:
        digest = b64decode(told, validate=True)
    except ValueError:  # "…-3": of three parts
        return ""
    is_whole = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and len(digest) == SHA256_BYTES
    return digest.hex() if is_whole else ""


def version_of(answer: Mapping[str, Any]) -> str:
    """The version id; "null" names what was put while the bucket kept no versions."""
    version = answer.get("VersionId") or ""
    return "" if version == "null" else version


def date(answer: Mapping[str, Any]) -> datetime:
    """When the store answered, by its own clock."""
    stamp = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(stamp) if stamp else datetime.now(UTC)


def time_of(moment: datetime) -> str:
    """ISO 8601 in whole seconds: lists tell milliseconds, Last-Modified does not, and both must agree."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def encoded(value: str) -> str:
    """Headers carry printable ASCII; anything else travels as RFC 2047 says, which is S3's own way, too."""
    plain = value.isascii() and value.isprintable() and value == value.strip() and "  " not in value
    if plain and "=?" not in value:
        return value
    return f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="


def decoded(value: str) -> str:
    """The inverse; besides, raw UTF-8, which a browser's form posts and which arrives here as Latin-1."""
    if not value.isascii():
        with suppress(UnicodeError):
            return value.encode("latin-1").decode()
    with suppress(HeaderParseError, UnicodeError, LookupError):
        parts = decode_header(value)
        return "".join(part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in parts)
    return value
