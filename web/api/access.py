"""Who may use the API, and how much of it: whoever shows a key; without any keys, only this machine itself."""

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from fastapi import Request

from inktally.errors import BadSettings
from inktally.settings import Settings
from web.callers import bearer_of, host_of, is_loopback, is_of_this_machine
from web.refused import Refused

HASHED = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
SHORTEST_KEY = 16
MOST_CLIENTS = 10_000  # that are remembered
MINUTE = 60.0
LOCAL = "this machine"


class Keys:
    """The keys that are taken, by their hashes; all are compared, in constant time, whichever fits."""

    def __init__(self, settings: Settings) -> None:
        self._hashes = [_hash_of(key) for key in _listed(settings.api_keys.get_secret_value())]
        self._origins = frozenset(origins_of(settings))
        is_named = bool(settings.site_url) and not is_loopback(host_of(settings.site_url))
        self._is_public = is_named or settings.site_behind_proxy

    @property
    def are_set(self) -> bool:
        return bool(self._hashes)

    def client_of(self, request: Request) -> str:
        """A name for whoever asks, which is never shown. Raises `Refused` (401, 403)."""
        if not self._hashes:
            return self._local(request)
        key = bearer_of(request) or request.headers.get("x-api-key", "")
        shown = hashlib.sha256(key.encode("latin-1")).hexdigest()
        if not any([hmac.compare_digest(shown, known) for known in self._hashes]):  # noqa: C419
            raise Refused(401, "UnknownKey", "Show a key: Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"})
        return shown

    def _local(self, request: Request) -> str:
        """A page of the web that is open on this machine, or a proxy before us, is not the machine itself.

        A proxy need not show itself; so where the settings speak of one, or of a public address, nobody is.
        """
        if self._is_public or not is_of_this_machine(request, self._origins):
            raise Refused(403, "NoKeys", "No keys are set (INKTALLY_API_KEYS), so only this machine itself may ask.")
        return LOCAL


def _hash_of(key: str) -> str:
    """SHA-256 (hex) of a key. Raises `BadSettings` for one that could be guessed."""
    if hashed := HASHED.fullmatch(key):
        return hashed[1].lower()
    if len(key) < SHORTEST_KEY:
        raise BadSettings(f"A key in INKTALLY_API_KEYS has fewer than {SHORTEST_KEY} characters.")
    return hashlib.sha256(key.encode()).hexdigest()


def origins_of(settings: Settings) -> list[str]:
    return _listed(settings.api_origins)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class Rates:
    """How much each client may still do: a bucket that fills evenly, up to a minute's worth."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> how many are left, and when

    def spend(self, client: str) -> None:
        """Raises `Refused` (429)."""
        now = self._now()
        left, then = self._left.pop(client, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - then) * self._per_minute / MINUTE)
        self._left[client] = (max(0.0, left - 1 if left >= 1 else left), now)
        while len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        if left < 1:
            wait = int((1 - left) * MINUTE / self._per_minute) + 1
            detail = f"At most {self._per_minute} pictures a minute are taken from one client."
            raise Refused(429, "TooMany", detail, {"Retry-After": str(wait)})
