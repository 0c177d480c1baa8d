"""Bodies of strangers: bounded in size and in time while they come, never gathered in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from inktally.errors import BadForm, TooLarge, TooSlow
from inktally.scratch import scratch_folder

BODY_SECONDS = 600
FIRST_SECONDS, SLOWEST = 20.0, 20_000
"""At every moment no more time may have passed than the first seconds, and a second for so many bytes."""
SLACK = 1_000_000  # bytes of a form that are no file
SMALL_FORM = 4096  # bytes


def bounded(request: Request, most: int) -> Request:
    """The same request; reading it raises `TooLarge` after `most` bytes, and `TooSlow`."""
    return Request(request.scope, receive=_counted(request.receive, most))


def _counted(receive: Receive, most: int) -> Receive:
    come, begun = 0, 0.0

    async def counted() -> Message:
        nonlocal come, begun
        begun = begun or time.monotonic()
        left = begun + min(FIRST_SECONDS + come / SLOWEST, BODY_SECONDS) - time.monotonic()
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError as error:
            raise TooSlow(f"Only {come:,} bytes came in {time.monotonic() - begun:.0f} seconds.") from error
        come += len(message.get("body", b""))
        if come > most:
            raise TooLarge(f"More than {most:,} bytes were sent.")
        return message

    return counted


def check_length(request: Request, most: int) -> None:
    """Before anything is read. Raises `TooLarge`."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise TooLarge(f"The file has {int(length):,} bytes; at most {most:,} are taken.")


async def form_field(request: Request) -> str:
    """What proves that a form is ours, of one that has nothing else in it. Raises `TooLarge`, `TooSlow`, `BadForm`."""
    check_length(request, SMALL_FORM)
    body = await bounded(request, SMALL_FORM).body()
    try:
        return parse_qs(body.decode(), max_num_fields=10).get("form", [""])[0]
    except ValueError as error:
        raise BadForm("This form cannot be understood.") from error


@contextmanager
def scratch_file(parent: Path) -> Iterator[Path]:
    with scratch_folder(parent) as folder:
        yield folder / "body"


async def save(request: Request, path: Path, most: int) -> None:
    """Stream the body into a file. Raises `TooLarge`, `TooSlow`, and `BadForm` when it does not come to its end."""
    check_length(request, most)
    try:
        with path.open("wb") as file:
            async for chunk in bounded(request, most).stream():
                file.write(chunk)
    except ClientDisconnect as error:
        raise BadForm("The picture did not come to its end.") from error
