"""What comes in the body of a request: a picture as it is, in a form, or by link. It is bounded while it comes."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from inktally.errors import BadLink
from inktally.intake.links import Policy, fetch
from web.api.forms import Link
from web.refused import Refused
from web.uploads import bodies

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

    Raises what reading a body raises (`web/uploads/bodies.py`), `Refused` (400, 415, 422) and pydantic's
    `ValidationError`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    picture = folder / "picture"
    if media_type == "application/json":
        link = Link.model_validate_json(await bodies.read(request, bodies.AROUND_FILES), strict=True)
        return Sent(picture, "", link.model_dump(exclude={"url"}, exclude_unset=True), link.url)
    if media_type == "multipart/form-data":
        return await _in_a_form(request, picture, max_bytes)
    if media_type.startswith(RAW):
        await bodies.save(request, picture, max_bytes)
        return Sent(picture)
    raise Refused(415, "UnsupportedMediaType", WANTED)


async def _in_a_form(request: Request, picture: Path, max_bytes: int) -> Sent:
    async with bodies.form(request, max_bytes, max_files=1) as form:
        file = form.get(FILE)
        if not isinstance(file, UploadFile):
            raise Refused(422, "NoFile", f'The form has no file "{FILE}".')
        await run_in_threadpool(bodies.copy, file, picture)
    filled: dict[str, object] = {name: value for name, value in form.items() if name != FILE and value != ""}
    return Sent(picture, _as_it_was(file.filename or ""), filled)


def _as_it_was(name: str) -> str:
    """Forms write these characters of a file's name so, and no others (WHATWG, "multipart/form-data encoding")."""
    return name.replace("%22", '"').replace("%0A", "\n").replace("%0D", "\r")


async def follow(sent: Sent, policy: Policy) -> Sent:
    """The same with its picture there, if it came by link. Raises `TooLarge`, `BadLink`, `LinkFailed`."""
    if sent.link is None:
        return sent
    if not policy.seconds:
        raise BadLink("Pictures are not taken by link here (INKTALLY_LINK_SECONDS is 0); send the picture itself.")
    with sent.picture.open("wb") as target:
        return replace(sent, name=await fetch(sent.link, target, policy))
