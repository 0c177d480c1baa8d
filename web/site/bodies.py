"""Bodies of strangers: bounded while they come, never gathered in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from inktally.errors import BadForm, TooLarge
from inktally.scratch import scratch_folder

BODY_SECONDS = 600
SLACK = 1_000_000  # bytes of a form that are no file


def bounded(request: Request, most: int) -> Request:
    """The same request; reading more than `most` bytes of it raises `TooLarge`."""
    return Request(request.scope, receive=_counted(request.receive, most))


def _counted(receive: Receive, most: int) -> Receive:
    come = 0

    async def counted() -> Message:
        nonlocal come
        message = await receive()
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


@contextmanager
def scratch_file(parent: Path) -> Iterator[Path]:
    with scratch_folder(parent) as folder:
        yield folder / "body"


async def save(request: Request, path: Path, most: int) -> None:
    """Stream the body into a file. Raises `TooLarge`, and `BadForm` when it does not come to its end."""
    check_length(request, most)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            with path.open("wb") as file:
                async for chunk in bounded(request, most).stream():
                    file.write(chunk)
    except (TimeoutError, ClientDisconnect) as error:
        raise BadForm("The picture did not come to its end.") from error
