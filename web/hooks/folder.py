"""Pictures dropped into a folder store ring the receiver, as a bucket's do: python -m web.watch.

A picture is announced when it has been written: nobody has it open for writing, and for a moment nothing has changed.
Where a system cannot tell whether a file is open, it has to stand still for longer. At the start everything without an
answer is announced, so that nothing is lost while nobody watches.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import httpx

from inktally import keys, plugins
from inktally.delivery import Delivery, Upload
from inktally.errors import BadSettings, InktallyError, NotFound
from inktally.extras import require
from inktally.imaging.decoding.formats import is_picture
from inktally.intake.events import OWN_FOLDER
from inktally.ports import Store
from inktally.settings import Settings
from inktally.steps import announcing, deliveries, markers
from web.command import run_command
from web.hooks.replay import send

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
STILL_SECONDS, STILL_LONGER_SECONDS = 0.4, 3.0
AGAIN_SECONDS = 5.0

Ring = Callable[[Delivery], Awaitable[None]]
"""Tells the receiver of a picture. Raises `httpx.HTTPError` when that may work later."""


class FolderWatch:
    """The pictures of one folder store that have changed, until each has been announced."""

    def __init__(self, store: Store, ring: Ring, *, to: str = "") -> None:
        self._store = store
        self._ring = ring
        self._to = to
        self._changed: dict[str, float] = {}  # key -> when to look at it, on the monotonic clock

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        from watchfiles._rust_notify import WatchfilesRustInternalError

        while not stop.is_set():
            try:
                await self._watch(stop)
            except* WatchfilesRustInternalError as errors:  # a name that is no UTF-8, and so no key
                logger.warning("looking at everything again: %s", errors.exceptions[0])

    async def _watch(self, stop: asyncio.Event) -> None:
        from watchfiles import Change, awatch

        root = Path(self._store.uri)
        folder = root / keys.INPUT
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        timeout = int(LOOK_SECONDS * 1000)
        changes = awatch(folder, stop_event=stop, rust_timeout=timeout, debounce=timeout, yield_on_timeout=True)
        await anext(changes, None)  # from now on nothing is missed, and what stands there already is looked at
        await asyncio.to_thread(self._look_below, keys.INPUT)
        logger.info("watching %s", folder)
        async for some in changes:
            for path in {path for change, path in some if change is not Change.deleted}:
                await asyncio.to_thread(self._look, path, Path(path).relative_to(root).as_posix())
            await self._announce_those_due()

    def _look(self, path: str, key: str) -> None:
        if Path(path).is_dir():  # what was in it when the watch of it began
            self._look_below(f"{key}/")
        else:
            self._note(key)

    def _look_below(self, prefix: str) -> None:
        for picture in self._store.list(prefix):
            self._note(picture.key)

    def _note(self, key: str) -> None:
        if is_picture(key):
            self._changed[key] = time.monotonic() + STILL_SECONDS

    async def _announce_those_due(self) -> None:
        now = time.monotonic()
        for key in [key for key, when in self._changed.items() if when <= now]:
            wait = await self._announce(key)
            if wait:
                self._changed[key] = time.monotonic() + wait
            else:
                del self._changed[key]

    async def _announce(self, key: str) -> float:
        """After how many seconds it is to be looked at again; 0 when it is done, or gone."""
        try:
            if wait := _wait_for_writers(Path(self._store.address(key))):
                return wait
            if delivery := await asyncio.to_thread(self._unanswered, key):
                await self._ring(delivery)
                logger.info("%s was announced", key)
        except (NotFound, FileNotFoundError):
            return 0
        except (InktallyError, OSError, httpx.HTTPError) as error:
            logger.warning("%s waits: %s", key, error)
            return AGAIN_SECONDS
        return 0

    def _unanswered(self, key: str) -> Delivery | None:
        """The delivery, and noted down whom to tell; None when it has been answered."""
        delivery = deliveries.look(self._store, Upload(key=key, store=self._store.uri))
        if markers.outcome_of(self._store, delivery) is not None:
            return None
        if self._to and not announcing.recipient_of(self._store, delivery):
            announcing.set_recipient(self._store, delivery, self._to)
        return delivery


def _wait_for_writers(path: Path) -> float:
    """How long to wait for those who write the file, in seconds.

    Linux grants a lease for reading only on a file that nobody has open for writing; elsewhere, time has to tell.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # should somebody want to write just then: harmless
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return STILL_SECONDS
    except (OSError, AttributeError):  # somebody else's file, a network's file system, or no Linux
        return max(0.0, STILL_LONGER_SECONDS - abs(time.time() - os.fstat(descriptor).st_mtime))
    finally:
        os.close(descriptor)
    return 0.0


def event_of(delivery: Delivery) -> bytes:
    """What is told, in the form of S3's events. Its store is the folder that the worker's settings name."""
    picture = delivery.picture
    entity = {"key": picture.key, "size": picture.size, "eTag": picture.etag, "sequencer": picture.modified}
    record = {
        "eventVersion": "2.1",
        "eventSource": OWN_FOLDER,
        "eventTime": picture.modified,
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": Path(delivery.upload.store).name}, "object": entity},
    }
    return json.dumps({"Records": [record]}).encode()


def ringer(url: str, settings: Settings) -> Ring:
    """Rings the receiver at `url`; what it refuses as wrong would be no better later, and is left to the sweep."""

    async def ring(delivery: Delivery) -> None:
        answer = await asyncio.to_thread(send, event_of(delivery), url, settings)
        if answer.is_client_error:
            logger.error("%s was refused: %s %s", delivery.upload.key, answer.status_code, answer.text)
        else:
            answer.raise_for_status()

    return ring


async def watch(settings: Settings, url: str, to: str) -> None:
    """Until a signal ends it. Raises `BadSettings` where the store is no folder."""
    if settings.store.startswith("s3://"):
        raise BadSettings(f"{settings.store} is a bucket, which rings by itself; only folders are watched.")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await FolderWatch(plugins.store(settings.store, settings), ringer(url, settings), to=to).run(stop)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.watch",
        description="Announce the pictures that are dropped into input/ of the folder INKTALLY_STORE to the receiver.",
    )
    parser.add_argument("--to", default="", metavar="ADDRESS", help="who gets the result, if the picture does not say")
    parser.add_argument("--url", help="the receiver; default: the one on this machine, by the settings")
    return run_command(parser, argv, _watch)


def _watch(settings: Settings, asked: argparse.Namespace) -> None:
    require("up")
    asyncio.run(watch(settings, asked.url or f"http://127.0.0.1:{settings.web_port}/hooks/s3", asked.to))
