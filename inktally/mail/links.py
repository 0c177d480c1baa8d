"""Links that nobody can guess or change, and that expire: values signed with the site's secret.

What is signed can be read by whoever has the link; it is only proof against change. A token made for one purpose is
none for another.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from inktally.errors import BadSettings, LinkExpired, UnknownLink
from inktally.modes import make_folder
from inktally.settings import Settings

Purpose = Literal["upload", "put", "confirm", "address", "form"]

SECRET_BYTES = 32
SHORTEST_SECRET = 32  # characters
LONGEST_TOKEN = 8192


class Signer:
    """Signs small JSON values, and opens what it has signed."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, purpose: Purpose, value: Any) -> str:
        """A token of letters, digits, `-`, `_` and `.`, dated now."""
        return self._serializer(purpose).dumps(value)

    def open(self, purpose: Purpose, token: str, seconds: float) -> Any:
        """What was signed at most so many seconds ago. Raises `UnknownLink`, `LinkExpired`."""
        try:
            return self._serializer(purpose).loads(token[:LONGEST_TOKEN], max_age=int(seconds))
        except SignatureExpired as error:
            raise LinkExpired("This link has expired.") from error
        except (BadData, UnicodeError) as error:
            raise UnknownLink("There is nothing behind this link; it may have been cut short on its way.") from error

    def pseudonym(self, text: str) -> str:
        """A name for somebody that tells nobody who it is (32 hex digits)."""
        return hmac.new(self._secret.encode(), b"pseudonym" + text.encode(), hashlib.sha256).hexdigest()[:32]

    def _serializer(self, purpose: Purpose) -> URLSafeTimedSerializer:
        signed = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(self._secret, salt=f"inktally.{purpose}", signer_kwargs=signed)


def signer(settings: Settings) -> Signer:
    """With the secret of the settings, else with this machine's. Raises `BadSettings`."""
    secret = settings.site_secret.get_secret_value()
    if secret and len(secret) < SHORTEST_SECRET:
        raise BadSettings(f"INKTALLY_SITE_SECRET is shorter than {SHORTEST_SECRET} characters; make a longer one.")
    return Signer(secret or kept_secret(settings.cache / "site-secret", "INKTALLY_SITE_SECRET"))


def result_link(upload_id: str, settings: Settings) -> str:
    """Where the page shows what was read; empty unless the settings say where the page is, and with what it signs.

    A secret that a machine has made for itself is not asked for: the page may run on another. Raises `BadSettings`.
    """
    if not (upload_id and settings.site_url and settings.site_secret.get_secret_value()):
        return ""
    return f"{settings.site_url.rstrip('/')}/uploads/{signer(settings).sign('upload', [upload_id])}/1"


def kept_secret(path: Path, setting: str) -> str:
    """Made once, whoever comes first; `setting` is what to set where it cannot be kept. Raises `BadSettings`."""
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise BadSettings(f"{path} cannot be used ({error}); set {setting}.") from error
    if len(secret) < SHORTEST_SECRET:
        raise BadSettings(f"{path} holds no secret; remove it, and another is made.")
    return secret


def _make_secret(path: Path) -> None:
    make_folder(path.parent)
    with NamedTemporaryFile("w", dir=path.parent, prefix=".", encoding="ascii") as part:  # which only we may read
        part.write(secrets.token_urlsafe(SECRET_BYTES))
        part.flush()
        os.fsync(part.fileno())
        with suppress(FileExistsError):
            os.link(part.name, path)
