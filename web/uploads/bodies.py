"""Bodies of requests from strangers: limited in size and in time while they arrive, never collected in memory.

The page, the REST API and the receiver of events all read through here, so all have the same minimum speed. Every
function raises `TooLarge`, `TooSlow`, and `BadRequest` when the client stops before the end.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from inktally.errors import BadRequest, TooLarge, TooSlow
from web.refused import Refused

FIRST_SECONDS, SLOWEST = 20.0, 20_000
"""At every moment no more time may have passed than the first seconds, and a second for so many bytes: 50 MB have 42
minutes. There is no other limit of time, so that a slow line can send what a fast one can.
"""
AROUND_FILES = 65_536  # bytes of a form that are no file, and the most that JSON may have
MOST_FIELDS, LONGEST_FIELD = 10, 4096  # of a form; bytes


def bounded(request: Request, most: int, seconds: float = inf) -> Request:
    """The same request, whose body has at most `most` bytes and arrives within `seconds`; raises as it is read.

    What says itself that it is too large is refused here, before any of it is read.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise TooLarge(f"{int(length):,} bytes were announced; at most {most:,} are accepted.")
    return Request(request.scope, receive=_counted(request.receive, most, seconds))


def _counted(receive: Receive, most: int, seconds: float) -> Receive:
    received, begun = 0, 0.0

    async def counted() -> Message:
        nonlocal received, begun
        begun = begun or time.monotonic()
        left = begun + min(FIRST_SECONDS + received / SLOWEST, seconds) - time.monotonic()
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError as error:
            took = time.monotonic() - begun
            raise TooSlow(f"Only {received:,} bytes arrived in {took:.0f} seconds.") from error
        if message["type"] == "http.disconnect":
            raise BadRequest("The client stopped before the end of the body.")
        received += len(message.get("body", b""))
        if received > most:
            raise TooLarge(f"More than {most:,} bytes were sent.")
        return message

    return counted


async def read(request: Request, most: int, seconds: float = inf) -> bytes:
    """A small body."""
    return await bounded(request, most, seconds).body()


async def save(request: Request, path: Path, most: int) -> None:
    """Stream the body into a file."""
    with path.open("wb") as file:
        async for chunk in bounded(request, most).stream():
            file.write(chunk)


@asynccontextmanager
async def form(request: Request, most: int, max_files: int) -> AsyncIterator[FormData]:
    """A form whose files have at most `most` bytes together. Raises `Refused` (400) when it cannot be read."""
    limited = bounded(request, most + AROUND_FILES)
    try:
        filled = await limited.form(max_files=max_files, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD)
    except HTTPException as error:
        raise Refused(400, "BadForm", f"The form cannot be read: {error.detail}") from error
    try:
        yield filled
    finally:
        await filled.close()


def copy(sent: UploadFile, path: Path) -> None:
    """Write a file of a form to `path`."""
    with path.open("wb") as file:
        shutil.copyfileobj(sent.file, file)
