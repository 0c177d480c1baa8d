"""Templates into pages: in the visitor's language, with all that every page shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any, cast

from babel.numbers import format_decimal
from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from inktally.errors import InktallyError
from inktally.mail.letters import ADVICE
from inktally.ports import Store
from inktally.settings import Settings
from inktally.text import shown
from web.mailing import Mailing
from web.site.previews import Previews
from web.site.translations import LANGUAGES, own_name, translations
from web.site.visitors import Visitor, remember, visitor_of
from web.site.wording import HEADLINES, LATER, OURS, WHAT_TO_DO
from web.uploads.places import BodyPlaces

STATIC = Path(__file__).parent / "static"
READINGS_AT_ONCE = 3  # of coordinates: those of 200 full pages take 100 MB
MEGABYTE = 1_000_000
SHORTEST = 0.1  # seconds that are told
SERVER_FAULT = 500


@dataclass(frozen=True)
class Site:
    """What all pages share."""

    settings: Settings
    store: Store
    mailing: Mailing
    previews: Previews
    places: BodyPlaces = field(default_factory=BodyPlaces)
    readings: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(READINGS_AT_ONCE))

    @property
    def is_secure(self) -> bool:
        return self.mailing.url.startswith("https:")

    @property
    def link_seconds(self) -> float:
        return self.settings.site_link_days * 24 * 60 * 60

    def visitor(self, request: Request) -> Visitor:
        return visitor_of(request, self.mailing.signer, self.settings)


def site_of(request: Request) -> Site:
    return cast(Site, request.app.state.site)


async def _visitor_of(request: Request) -> Visitor:
    return site_of(request).visitor(request)


async def _site_of(request: Request) -> Site:
    return site_of(request)


TheSite = Annotated[Site, Depends(_site_of)]
TheVisitor = Annotated[Visitor, Depends(_visitor_of)]


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page of ours, and the cookies that go with it."""
    site = site_of(request)
    visitor = site.visitor(request)
    text = rendered(template, visitor, form=visitor.form(site.mailing.signer), site=site, **values)
    response = HTMLResponse(text, status)
    remember(response, request, visitor, secure=site.is_secure)
    return response


def rendered(template: str, visitor: Visitor, **values: Any) -> str:
    names = {code: own_name(code) for code in LANGUAGES}
    shared = {"visitor": visitor, "language": visitor.language, "languages": names, "static": _static}
    return templates(visitor.language).get_template(template).render(shared | values)


@contextmanager
def about(name: str) -> Iterator[None]:
    """What is wrong within the block is wrong with the file of this name, and is told so."""
    try:
        yield
    except InktallyError as error:
        error.add_note(name)
        raise


def error_page(request: Request, error: InktallyError) -> Response:
    """In the form that was asked for. Of faults of ours nothing is told but that there is one."""
    visitor, status = site_of(request).visitor(request), error.http_status
    text = told(error.kind, str(error), visitor.language)
    text["about"] = " ".join(getattr(error, "__notes__", ()))
    headers = {"Connection": "close"} if status == TOO_LARGE else {}
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(text, status, headers)
    answer = page(request, "error.html", status=status, **text)
    answer.headers.update(headers)
    return answer


TOO_LARGE = 413


def told(kind: str, message: str, language: str) -> dict[str, str]:
    """`headline`, `advice` and `detail` of an error; the last, which is English, for those only who read that."""
    say = translations(language).gettext
    if kind not in HEADLINES:
        return {"headline": say(OURS), "advice": say(LATER), "detail": ""}
    advice = ADVICE.get(kind, "") or WHAT_TO_DO.get(kind, "")
    headline = say(HEADLINES[kind])
    return {
        "headline": headline,
        "advice": say(advice) if advice else "",
        "detail": shown(message, 300) if language == "en" else "",
    }


@cache
def templates(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("web.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    environment.filters["shown"] = shown
    environment.filters["grouped"] = lambda number: format_decimal(number, locale=language)
    environment.filters["seconds"] = lambda seconds: _seconds(seconds, language)
    environment.filters["megabytes"] = lambda size: f"{format_decimal(size / MEGABYTE, '0.##', locale=language)} MB"
    return environment


def _seconds(seconds: float, language: str) -> str:
    shown = format_decimal(max(seconds, SHORTEST), "0.0", locale=language)
    return f"{shown} s" if seconds >= SHORTEST else f"< {shown} s"


@cache
def _static(name: str) -> str:
    """Its address changes with its content."""
    return f"/static/{name}?{sha256((STATIC / name).read_bytes()).hexdigest()[:8]}"
