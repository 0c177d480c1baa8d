"""What comes in the body of a request: a picture as it is, in a form, or by link. It is bounded while it comes."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from inktally.errors import BadLink, TooLarge
from inktally.intake.links import Policy, fetch
from web.api.forms import Link
from web.api.problems import Refused

AROUND_A_PICTURE = 65_536  # bytes of a form beside its file, and the most that JSON may have
BODY_SECONDS = 120.0
FILE = "file"
RAW = ("image/", "application/pdf", "application/octet-stream")
WANTED = (
    "Send a picture as it is (Content-Type: image/… or application/pdf or application/octet-stream), in a form "
    '(multipart/form-data, field "file"), or JSON: {"url": "https://…"}.'
)


@dataclass(frozen=True)
class Sent:
    """A picture that has come, or a link to it; its name if it has one, and what the body asks for."""

    picture: Path
    name: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    link: str | None = None

    def digest(self) -> str:
        """SHA-256 (hex) of the picture, or of the link."""
        if self.link is not None:
            return hashlib.sha256(self.link.encode()).hexdigest()
        with self.picture.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


async def receive(request: Request, folder: Path, max_bytes: int) -> Sent:
    """Have the picture of a request in a file, unless it comes by link.

    Raises `TooLarge`, `Refused` (400, 408, 415) and pydantic's `ValidationError`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    picture = folder / "picture"
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if media_type == "application/json":
                return _by_link(await _read(request, AROUND_A_PICTURE), picture)
            if media_type == "multipart/form-data":
                return await _in_a_form(request, picture, max_bytes)
            if media_type.startswith(RAW):
                return await _as_it_is(request, picture, max_bytes)
    except TimeoutError:
        raise Refused(408, "TooSlow", f"The picture did not come within {BODY_SECONDS:g} seconds.") from None
    raise Refused(415, "UnsupportedMediaType", WANTED)


async def _as_it_is(request: Request, picture: Path, max_bytes: int) -> Sent:
    with picture.open("wb") as target:
        async for chunk in _bounded(request, max_bytes):
            target.write(chunk)
    return Sent(picture)


async def _in_a_form(request: Request, picture: Path, max_bytes: int) -> Sent:
    stream = _bounded(request, max_bytes + AROUND_A_PICTURE)
    try:
        form = await MultiPartParser(request.headers, stream, max_files=1, max_fields=20, max_part_size=4096).parse()
    except MultiPartException as error:
        raise Refused(400, "BadForm", f"The form cannot be read: {error.message}") from error
    try:
        return await _of_form(form, picture)
    finally:
        await form.close()


async def _of_form(form: FormData, picture: Path) -> Sent:
    file = form.get(FILE)
    if not isinstance(file, UploadFile):
        raise Refused(422, "NoFile", f'The form has no file "{FILE}".')
    await run_in_threadpool(_copy, file, picture)
    filled: dict[str, object] = {name: value for name, value in form.items() if name != FILE and value != ""}
    return Sent(picture, _as_it_was(file.filename or ""), filled)


def _as_it_was(name: str) -> str:
    """Forms write these characters of a file's name so, and no others (WHATWG, "multipart/form-data encoding")."""
    return name.replace("%22", '"').replace("%0A", "\n").replace("%0D", "\r")


def _copy(file: UploadFile, picture: Path) -> None:
    with picture.open("wb") as target:
        shutil.copyfileobj(file.file, target)


def _by_link(body: bytes, picture: Path) -> Sent:
    link = Link.model_validate_json(body, strict=True)
    return Sent(picture, "", link.model_dump(exclude={"url"}, exclude_unset=True), link.url)


async def follow(sent: Sent, policy: Policy) -> Sent:
    """The same with its picture there, if it came by link. Raises `TooLarge`, `BadLink`, `LinkFailed`."""
    if sent.link is None:
        return sent
    if not policy.seconds:
        raise BadLink("Pictures are not taken by link here (INKTALLY_LINK_SECONDS is 0); send the picture itself.")
    with sent.picture.open("wb") as target:
        return replace(sent, name=await fetch(sent.link, target, policy))


async def _read(request: Request, most: int) -> bytes:
    return b"".join([chunk async for chunk in _bounded(request, most)])


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The body in pieces. Raises `TooLarge` as soon as it is known to be."""
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdigit() else 0
    if size > most:
        raise _too_large(most)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        yield chunk


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The request has more than {most:,} bytes; scan at 300 dpi, or send parts.")
