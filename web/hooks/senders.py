"""Who may send: whoever shows the shared secret, and SNS for the topics that are allowed."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from cryptography import x509
from fastapi import HTTPException, Request

from inktally.errors import BadEvent, UnknownSender
from inktally.intake import sns
from inktally.settings import Settings
from web.callers import bearer_of, is_loopback, is_of_this_machine, is_same

logger = logging.getLogger(__name__)

MOST_CERTIFICATES = 20
MOST_FETCHES, FETCHES_SECONDS = 10, 60.0


def shows_secret(request: Request, settings: Settings) -> bool:
    """Whether the request bears the secret; without one, whether a program of this machine sends it.

    The secret stands in a header (`Authorization: Bearer …`, `X-Inktally-Secret`) or, for Ceph, in the query.
    """
    secret = settings.hook_secret.get_secret_value()
    if not secret:
        return is_loopback(settings.web_host) and is_of_this_machine(request)
    shown = [
        request.headers.get("x-inktally-secret", "").encode("latin-1"),
        bearer_of(request).encode("latin-1"),
        request.query_params.get("secret", "").encode(errors="replace"),
    ]
    return any([is_same(each, secret.encode()) for each in shown])  # noqa: C419 - all are compared, whichever fits


class Topics:
    """SNS as a sender: its certificates, each fetched once, and the subscriptions that are confirmed."""

    def __init__(self, topics: frozenset[str], http: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._topics = topics
        self._http = http
        self._now = now
        self._certificates: dict[str, x509.Certificate] = {}
        self._fetched: deque[float] = deque(maxlen=MOST_FETCHES)
        self._fetching = asyncio.Lock()

    async def admit(self, message: Any) -> sns.Envelope:
        """A message that SNS has signed. Raises `UnknownSender`."""
        try:
            envelope = sns.envelope_of(message)
        except BadEvent as error:
            raise UnknownSender(str(error)) from error
        sns.check_claims(envelope, self._topics, self._now())
        sns.verify(envelope, await self._certificate(envelope.certificate_url), self._now())
        return envelope

    async def confirm(self, envelope: sns.Envelope) -> None:
        """Confirm the subscription that SNS asks about. Raises `UnknownSender`."""
        await self._get(sns.confirmation_url(envelope))
        logger.info("the subscription to %s is confirmed", envelope.topic)

    async def _certificate(self, url: str) -> x509.Certificate:
        async with self._fetching:
            if url not in self._certificates:
                self._check_rate()
                certificate = sns.certificate_from(await self._get(url))
                while len(self._certificates) >= MOST_CERTIFICATES:
                    del self._certificates[next(iter(self._certificates))]
                self._certificates[url] = certificate
            return self._certificates[url]

    def _check_rate(self) -> None:
        """SNS has few certificates; whoever names many forges, and shall not have us ask for each."""
        now = time.monotonic()
        if len(self._fetched) == MOST_FETCHES and now - self._fetched[0] < FETCHES_SECONDS:
            raise HTTPException(429, "Too many certificates were named.", {"Retry-After": f"{FETCHES_SECONDS:.0f}"})
        self._fetched.append(now)

    async def _get(self, url: str) -> bytes:
        try:
            answer = await self._http.get(url, follow_redirects=False)
        except httpx.HTTPError as error:
            logger.warning("SNS cannot be reached: %s", error)
            raise HTTPException(503, "SNS cannot be reached.", {"Retry-After": "30"}) from error
        if answer.is_server_error:
            raise HTTPException(503, "SNS answers with an error.", {"Retry-After": "30"})
        if answer.status_code != httpx.codes.OK:
            raise UnknownSender("SNS knows nothing of what the message names.")
        return answer.content
