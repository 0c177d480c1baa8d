"""The receiver of bucket events: authenticate, read, answer at once; what was announced goes on in the background.

An answer of 2xx says that the sender has done its part: the uploads wait for Prefect in our memory, or there is nothing
to do, or the message can never be read. Where Prefect is down, senders that keep a message and come again slowly (SNS,
EventBridge) are told so; Ceph and MinIO, which hammer or forget, never are: the sweep finds what they announced.
"""

import argparse
import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from inktally.errors import BadEvent, InktallyError, RunsDown, UnknownSender
from inktally.intake import events, sns
from inktally.settings import Settings
from web.callers import is_loopback
from web.command import run_command
from web.hooks import dead_letters
from web.hooks.announcing import Announcer, Opened, Outbox, Runs
from web.hooks.senders import Topics, shows_secret
from web.meters import Meters
from web.serving import meanwhile, metered, run_server
from web.uploads import bodies

logger = logging.getLogger(__name__)

MOST_BYTES = 1_048_576  # as SQS takes them; SNS and EventBridge stop at 256 KiB
BODY_SECONDS = 10.0
OUTWARD_SECONDS = 5.0  # to SNS, and to Prefect when somebody asks whether we are ready
RETRY_AFTER = "30"  # seconds
TYPES = ("application/", "text/plain")  # libcurl, and so Ceph, says application/x-www-form-urlencoded


def create_app(
    settings: Settings,
    opened: Opened,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FastAPI:
    """The receiver as an ASGI application. `transport` and `now` are the way to SNS, and the clock."""
    meters = Meters()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        timeout = httpx.Timeout(OUTWARD_SECONDS)
        async with opened() as runs, httpx.AsyncClient(transport=transport, timeout=timeout) as http:
            app.state.receiver = Receiver(settings, runs, Topics(topics_of(settings), http, now), meters)
            outbox = app.state.receiver.outbox
            async with meanwhile(outbox.run()):
                yield
            await outbox.finish()

    app = metered(meters, lifespan)

    @app.post("/hooks/s3")
    async def hook(request: Request) -> Response:
        receiver: Receiver = request.app.state.receiver
        return await receiver.timed(request)

    @app.get("/readyz")
    async def ready(request: Request) -> Response:
        receiver: Receiver = request.app.state.receiver
        return await receiver.ready()

    return app


def topics_of(settings: Settings) -> frozenset[str]:
    return frozenset(settings.sns_topics.replace(",", " ").split())


class Receiver:
    """Answers messages, one at a time; what they share is the outbox."""

    def __init__(self, settings: Settings, runs: Runs, topics: Topics, meters: Meters) -> None:
        self._settings = settings
        self._runs = runs
        self._topics = topics
        self._meters = meters
        self._announcer = Announcer(runs, meters)
        self.outbox = Outbox(self._announcer, settings.hook_window_seconds, meters)

    async def timed(self, request: Request) -> Response:
        begun = time.perf_counter()
        answer = await self._answered(request)
        self._meters.seconds.observe(time.perf_counter() - begun)
        self._meters.requests.labels(str(answer.status_code)).inc()
        return answer

    async def ready(self) -> Response:
        """Whether events come through: 503 while Prefect cannot be reached."""
        reachable = False
        with suppress(TimeoutError):
            async with asyncio.timeout(OUTWARD_SECONDS):
                reachable = await self._runs.is_reachable()
        return JSONResponse({"ready": reachable}, status_code=200 if reachable else 503)

    async def _answered(self, request: Request) -> Response:
        try:
            return await self._answer(request, await _body(request))
        except HTTPException as error:
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        except InktallyError as error:
            if isinstance(error, UnknownSender):
                logger.warning("a message was refused: %s", error)
            headers = {"Retry-After": RETRY_AFTER} if error.retryable else None
            return JSONResponse({"error": str(error)}, error.http_status, headers)

    async def _answer(self, request: Request, body: bytes) -> Response:
        """Nothing of a message is acted upon before its sender is known."""
        is_known = shows_secret(request, self._settings)
        try:
            message = events.decoded(body)
        except BadEvent as error:
            _check(is_known)
            return await self._bury(body, error)
        if sns.looks_like_sns(message):
            return await self._answer_sns(message, body)
        _check(is_known)
        return await self._take(
            message, body, patient=isinstance(message, dict) and "detail-type" in message
        )  # EventBridge

    async def _answer_sns(self, message: Any, body: bytes) -> Response:
        envelope = await self._topics.admit(message)
        if envelope.type == "SubscriptionConfirmation":
            await self._topics.confirm(envelope)
            return JSONResponse({"confirmed": envelope.topic})
        if envelope.type == "UnsubscribeConfirmation":
            logger.warning("nothing comes from %s any more: somebody has unsubscribed", envelope.topic)
            return JSONResponse({"unsubscribed": envelope.topic})
        return await self._take(message, body, patient=True)

    async def _take(self, message: Any, body: bytes, *, patient: bool) -> Response:
        """Let the uploads wait for Prefect. `patient` senders keep a message, and come again slowly."""
        try:
            told = events.announced(message)
        except BadEvent as error:
            return await self._bury(body, error)
        if not told.is_whole:
            await self._bury(body, BadEvent("some records cannot be read"))
        if patient and told.arrivals and self._announcer.is_down:
            raise RunsDown("Prefect cannot be reached now.")
        return self._accept(told, patient=patient)

    def _accept(self, told: events.Announced, *, patient: bool) -> Response:
        counts = {"accepted": 0, "repeated": 0} | Counter[str](each.reason for each in told.left_out)
        try:
            counts["accepted"] = self.outbox.add(told.arrivals)
            counts["repeated"] = len(told.arrivals) - counts["accepted"]
        except RunsDown:
            if patient:
                raise
            counts["left to the sweep"] = len(told.arrivals)
        for what, number in counts.items():
            self._meters.uploads.labels(what).inc(number)
        return JSONResponse(counts, status_code=202 if told.arrivals else 200)

    async def _bury(self, body: bytes, reason: BadEvent) -> Response:
        """Keep what nobody can read for a person to look at; sent again, it would be no better."""
        logger.warning("a message of %d bytes cannot be read: %s", len(body), reason)
        self._meters.dead_letters.inc()
        try:
            await run_in_threadpool(dead_letters.keep, self._settings.dead_letters, body, str(reason))
        except OSError as error:
            logger.error("it could not be kept either: %s", error)  # noqa: TRY400 - the sentence says it all
        return JSONResponse({"unreadable": str(reason)})


def _check(is_known: bool) -> None:
    if not is_known:
        raise UnknownSender("The sender has not shown the secret (INKTALLY_HOOK_SECRET), nor is it SNS.")


async def _body(request: Request) -> bytes:
    """The whole body, unless it is too large, too slow, or surely none of ours."""
    if not request.headers.get("content-type", TYPES[0]).strip().lower().startswith(TYPES):
        raise HTTPException(415, "A message is JSON.")
    return await bodies.read(request, MOST_BYTES, BODY_SECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web",
        description="Receive bucket events at POST /hooks/s3, and have Prefect run what they announce.",
        epilog="Settings (INKTALLY_WEB_HOST, …) are listed in the README; how to connect a bucket, in docs/events.md.",
    )
    return run_command(parser, argv, serve)


def serve(settings: Settings, _asked: argparse.Namespace) -> None:
    """Serve until a signal ends it. Raises `BadSettings`."""
    from web.hooks.trigger import check_api, prefect_runs

    check_api()
    if not (settings.hook_secret.get_secret_value() or topics_of(settings) or is_loopback(settings.web_host)):
        logger.warning("nobody may send: neither INKTALLY_HOOK_SECRET nor INKTALLY_SNS_TOPICS is set")
    run_server(create_app(settings, prefect_runs), settings, settings.web_host, settings.web_port)
