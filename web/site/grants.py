"""Leave to send pictures: an id and an address for each, within quotas, and whom the results go to."""

import mimetypes
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from inktally import keys
from inktally.document import Value
from inktally.errors import NotFound, UnknownLanguage
from inktally.intake.web import metadata, new_id, picture_name
from inktally.languages import AUTO
from inktally.mail.optin import Ask, new_ask
from inktally.ports import TakesPosts
from web.site.pages import Site, about
from web.site.visitors import Visitor

MOST_FILES = 20
PUT_SECONDS = 60 * 60


class Wish(Value):
    """What a visitor wants to send: names of files, whom to tell (may be empty), the language of the text."""

    names: tuple[str, ...] = Field(min_length=1, max_length=MOST_FILES)
    email: str = Field(default="", max_length=500)
    language: str = Field(default="", max_length=20)


class Grant(Value):
    """Leave to send one picture."""

    id: str
    name: str
    email: str = ""
    language: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        return metadata(self.email, self.language)


class Leave(Value):
    """Leave to send some, and the address that the visitor has given."""

    grants: tuple[Grant, ...]
    ask: Ask | None


def grant(site: Site, visitor: Visitor, wish: Wish) -> Leave:
    """Results go by mail only where the address is confirmed; else they wait, and its owner is asked.

    Raises `UnsupportedFormat`, `UnknownLanguage`, `RecipientRefused`, `QuotaUsedUp`.
    """
    if wish.language not in {"", AUTO, *offered_languages(site)}:
        raise UnknownLanguage(f"The language {wish.language!r} is not offered.")
    names = [_picture_name(name) for name in wish.names]
    ids = [new_id() for _ in names]
    ask = _ask(visitor, wish.email)
    site.mailing.quotas.take_as("uploads-of-client", visitor.counted, site.settings.site_uploads_per_client, len(names))
    email = site.mailing.recipient(ask, visitor.counted, ids, visitor.language) if ask else ""
    grants = [
        Grant(id=id_, name=name, email=email, language=wish.language) for id_, name in zip(ids, names, strict=True)
    ]
    return Leave(grants=tuple(grants), ask=ask)


def _picture_name(name: str) -> str:
    with about(name):
        return picture_name(name.replace("${", "$_{"))  # a store would fill it in


def _ask(visitor: Visitor, email: str) -> Ask | None:
    """The browser's own one where it is for this address; None without an address."""
    if not email.strip():
        return None
    ask = new_ask(email)
    return visitor.ask if visitor.ask is not None and visitor.ask.person == ask.person else ask


def offered_languages(site: Site) -> list[str]:
    return [each.strip() for each in site.settings.site_languages.split(",") if each.strip()]


def form_of(site: Site, granted: Grant) -> dict[str, Any]:
    """Where and how a browser sends the picture: straight to the store, or where that cannot be, to us."""
    if not isinstance(site.store, TakesPosts):
        return {
            "method": "PUT",
            "url": f"/uploads/put/{site.mailing.signer.sign('put', granted.model_dump())}",
            "fields": {},
        }
    form = site.store.post_form(
        keys.from_web(granted.id, granted.name),
        metadata=granted.metadata,
        content_type=mimetypes.guess_type(granted.name)[0] or "application/octet-stream",
        max_bytes=site.settings.max_bytes,
        seconds=PUT_SECONDS,
    )
    return {"method": "POST", **form.model_dump()}


def link(site: Site, grants: Sequence[Grant]) -> str:
    """Where the visitor sees what becomes of them."""
    return f"/uploads/{site.mailing.signer.sign('upload', [each.id for each in grants])}"


def opened(site: Site, token: str) -> list[str]:
    """The ids of uploads behind a link. Raises `UnknownLink`, `LinkExpired`."""
    return list(site.mailing.signer.open("upload", token, site.link_seconds))


def one_of(site: Site, token: str, number: int) -> str:
    """The id of one of them; numbers start at 1. Raises `UnknownLink`, `LinkExpired`, `NotFound`."""
    ids = opened(site, token)
    if not 1 <= number <= len(ids):
        raise NotFound("There is no such upload.")
    return ids[number - 1]
