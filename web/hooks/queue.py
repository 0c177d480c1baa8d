"""Bucket events from an SQS queue, for places without an open port: python -m web.queue.

A message is deleted only after Prefect has accepted its event; while Prefect is away it is held, and its visibility
extended. What cannot be read is left alone, so that the queue's redrive policy takes it to its dead-letter queue.
"""

import argparse
import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI

from inktally import aws
from inktally.document import Value
from inktally.errors import BadEvent, BadSettings
from inktally.intake import events
from inktally.settings import Settings
from web.command import run_command
from web.hooks.announcing import MOST, Announcer, Opened
from web.meters import Meters
from web.serving import meanwhile, metered, run_server

logger = logging.getLogger(__name__)

AT_ONCE = 10  # messages in one request to SQS
POLL_SECONDS = 5  # SQS waits up to 20 for messages; a signal that ends us waits as long
VISIBILITY_SECONDS = 60
RETRY_SECONDS = 5.0

AWS_HOST = re.compile(r"sqs\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")


class QueuedMessage(Value):
    """A message of the queue, and the uploads it announces."""

    receipt: str
    arrivals: tuple[events.Arrival, ...]


class Queue:
    """The few things we ask of SQS, in threads, since boto3 knows no asyncio.

    `visibility` is for how many seconds a message that was received, or is held, is shown to nobody else.
    """

    def __init__(self, url: str, client: Any, visibility: int = VISIBILITY_SECONDS) -> None:
        self._url = url
        self._client = client
        self.visibility = visibility

    async def receive(self, seconds: int) -> list[dict[str, Any]]:
        """Up to ten messages; waits so long for the first."""
        answer = await asyncio.to_thread(
            self._client.receive_message,
            QueueUrl=self._url,
            MaxNumberOfMessages=AT_ONCE,
            WaitTimeSeconds=seconds,
            VisibilityTimeout=self.visibility,
        )
        return list(answer.get("Messages", []))

    async def delete(self, messages: Iterable[QueuedMessage]) -> None:
        await self._each_ten(self._client.delete_message_batch, messages)

    async def hold(self, messages: Iterable[QueuedMessage]) -> None:
        """Keep them from others for as long again."""
        change = self._client.change_message_visibility_batch
        await self._each_ten(change, messages, VisibilityTimeout=self.visibility)

    async def give_back(self, messages: Iterable[QueuedMessage]) -> None:
        await self._each_ten(self._client.change_message_visibility_batch, messages, VisibilityTimeout=0)

    async def _each_ten(self, request: Any, messages: Iterable[QueuedMessage], **more: int) -> None:
        rest = iter(messages)
        while some := list(islice(rest, AT_ONCE)):
            entries = [{"Id": str(n), "ReceiptHandle": message.receipt, **more} for n, message in enumerate(some)]
            answer = await asyncio.to_thread(request, QueueUrl=self._url, Entries=entries)
            for failure in answer.get("Failed", []):
                logger.warning("SQS will see a message again: %s", failure.get("Message") or failure.get("Code"))


def queue_at(settings: Settings) -> Queue:
    """Raises `BadSettings` when no queue is named."""
    address = urlsplit(settings.queue_url)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise BadSettings("INKTALLY_QUEUE_URL is the URL of an SQS queue; SQS shows it beside the queue's name.")
    at_aws = AWS_HOST.fullmatch(address.netloc)
    region, endpoint = at_aws["region"] if at_aws else settings.s3_region, f"{address.scheme}://{address.netloc}"
    return Queue(settings.queue_url, aws.client("sqs", region, endpoint, seconds=POLL_SECONDS + 10, attempts=3))


class Pump:
    """Takes messages, announces what they tell, and deletes them; once around is `turn`."""

    def __init__(self, queue: Queue, announcer: Announcer, window: float, meters: Meters) -> None:
        self._queue = queue
        self._announcer = announcer
        self._window = window
        self._meters = meters

    async def run(self) -> None:
        """For ever. Messages that come within the window after others go together with those that follow."""
        while True:
            try:
                await self.turn()
            except Exception as error:
                self._meters.queue_down.set(1)
                expected = isinstance(error, BotoCoreError | ClientError)
                logger.warning("SQS: %s; next try in %.0f s", error, RETRY_SECONDS, exc_info=not expected)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._meters.queue_down.set(0)
            await asyncio.sleep(self._window)

    async def turn(self, seconds: int = POLL_SECONDS) -> None:
        """Take what there is, waiting so long for the first, and see it announced."""
        messages = await self._messages(seconds)
        groups = _by_store(messages)
        self._meters.waiting.set(sum(map(len, groups)))
        async with self._held(messages):
            for arrivals in groups:
                await self._announcer.announce(arrivals)
                self._meters.uploads.labels("accepted").inc(len(arrivals))
                self._meters.waiting.dec(len(arrivals))
            await self._queue.delete(messages)

    async def _messages(self, seconds: int) -> list[QueuedMessage]:
        """Messages that could be read, with up to about 100 uploads together."""
        messages: list[QueuedMessage] = []
        while received := await self._queue.receive(0 if messages else seconds):
            messages += filter(None, map(self._read, received))
            if sum(len(message.arrivals) for message in messages) >= MOST or len(messages) >= MOST:
                break
        return messages

    def _read(self, message: dict[str, Any]) -> QueuedMessage | None:
        try:
            told = events.announced(events.decoded(message["Body"]))
        except BadEvent as error:
            logger.warning("message %s is left to the queue's redrive policy: %s", message["MessageId"], error)
            self._meters.dead_letters.inc()
            return None
        if not told.is_whole:
            logger.warning("some records of message %s cannot be read", message["MessageId"])
        for left_out in told.left_out:
            self._meters.uploads.labels(left_out.reason).inc()
        return QueuedMessage(receipt=message["ReceiptHandle"], arrivals=told.arrivals)

    @asynccontextmanager
    async def _held(self, messages: Sequence[QueuedMessage]) -> AsyncIterator[None]:
        """Nobody else sees the messages within the block; when it is left in haste, they are given back."""
        async with meanwhile(self._hold(messages)):
            try:
                yield
            except asyncio.CancelledError:
                with suppress(BotoCoreError, ClientError):
                    await self._queue.give_back(messages)
                raise

    async def _hold(self, messages: Sequence[QueuedMessage]) -> None:
        while True:
            await asyncio.sleep(self._queue.visibility / 3)
            with suppress(BotoCoreError, ClientError):
                await self._queue.hold(messages)


def _by_store(messages: Iterable[QueuedMessage]) -> list[list[events.Arrival]]:
    """The uploads of each store, each once, at most 100 together."""
    stores: dict[str, dict[str, events.Arrival]] = {}
    for arrival in (arrival for message in messages for arrival in message.arrivals):
        stores.setdefault(arrival.upload.store, {})[arrival.id] = arrival
    return [
        list(arrivals.values())[first : first + MOST]
        for arrivals in stores.values()
        for first in range(0, len(arrivals), MOST)
    ]


def create_app(queue: Queue, settings: Settings, opened: Opened) -> FastAPI:
    """The pump at work, and a door for those who ask how it is doing."""
    meters = Meters()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with opened() as runs:
            pump = Pump(queue, Announcer(runs, meters), settings.hook_window_seconds, meters)
            async with meanwhile(pump.run()):
                yield

    return metered(meters, lifespan)


def serve(settings: Settings, _asked: argparse.Namespace) -> None:
    """Until a signal ends it. Raises `BadSettings`."""
    from web.hooks.trigger import check_api, prefect_runs

    check_api()
    app = create_app(queue_at(settings), settings, prefect_runs)
    logger.info("taking events from %s", settings.queue_url)
    run_server(app, settings, settings.web_host, settings.queue_port)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.queue",
        description="Take bucket events from the SQS queue INKTALLY_QUEUE_URL; Prefect runs what they announce.",
    )
    return run_command(parser, argv, serve)
