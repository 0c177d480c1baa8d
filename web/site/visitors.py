"""Who is on the other side: a browser, told by cookies that it cannot forge."""

import re
import secrets
from dataclasses import dataclass

from fastapi import Request, Response
from pydantic import ValidationError

from inktally.errors import BadForm, LinkExpired, UnknownLink
from inktally.mail.links import Signer
from inktally.mail.optin import Ask
from inktally.mail.quotas import Client
from inktally.settings import Settings
from web.callers import networks_of
from web.site.translations import LANGUAGES, negotiated

VISIT, ADDRESS, LANGUAGE = "inktally-visit", "inktally-address", "inktally-language"
YEAR = 365 * 24 * 60 * 60
FORM_SECONDS = 24 * 60 * 60
VISIT_BYTES = 16
WITH_PORT = re.compile(r"(?:([\d.]+)|\[([\da-fA-F:.]+)\])(?::\d+)?")
"""As some proxies write who is forwarded: 203.0.113.7:5678, [2001:db8::1]:5678."""


@dataclass(frozen=True)
class Visitor:
    """`visit` names the browser, `counted` whom quotas are counted for, `ask` is the address it has given."""

    visit: str
    language: str
    counted: Client
    ask: Ask | None

    @property
    def client(self) -> str:
        """A name for what one customer has at least: an IPv4 address, or an IPv6 network of 64 bits."""
        return self.counted.name

    def form(self, signer: Signer) -> str:
        """What a form of ours bears, and no other site can know."""
        return signer.sign("form", self.visit)

    def check_form(self, signer: Signer, form: str) -> None:
        """Raises `BadForm`."""
        try:
            visit = signer.open("form", form, FORM_SECONDS)
        except (UnknownLink, LinkExpired):
            visit = None
        if not isinstance(visit, str) or not secrets.compare_digest(visit.encode(), self.visit.encode()):
            raise BadForm("This form has grown old.")


def visitor_of(request: Request, signer: Signer, settings: Settings) -> Visitor:
    wished = request.query_params.get("language", "") or request.cookies.get(LANGUAGE, "")
    return Visitor(
        visit=request.cookies.get(VISIT, "")[:64] or secrets.token_urlsafe(VISIT_BYTES),
        language=negotiated(wished, request.headers.get("accept-language", "")),
        counted=_counted(_address(request, settings), signer),
        ask=_ask(request.cookies.get(ADDRESS, ""), signer),
    )


def remember(response: Response, request: Request, visitor: Visitor, *, secure: bool) -> None:
    """The browser's name, and the language if it has just been chosen."""
    if request.cookies.get(VISIT) != visitor.visit:
        _set(response, VISIT, visitor.visit, secure=secure)
    if request.query_params.get("language", "") in LANGUAGES:
        _set(response, LANGUAGE, visitor.language, secure=secure)


def remember_address(response: Response, ask: Ask, signer: Signer, *, secure: bool) -> None:
    _set(response, ADDRESS, signer.sign("address", ask.model_dump()), secure=secure)


def forget_address(response: Response) -> None:
    response.delete_cookie(ADDRESS, httponly=True, samesite="lax")


def _set(response: Response, name: str, value: str, *, secure: bool) -> None:
    response.set_cookie(name, value, max_age=YEAR, secure=secure, httponly=True, samesite="lax")


def _ask(token: str, signer: Signer) -> Ask | None:
    try:
        return Ask.model_validate(signer.open("address", token, YEAR)) if token else None
    except (UnknownLink, LinkExpired, ValidationError):
        return None


def _address(request: Request, settings: Settings) -> str:
    """Behind a proxy of ours, whom that has seen; what stands before it in the header anybody may have written."""
    forwarded = request.headers.getlist("x-forwarded-for")
    if settings.site_behind_proxy and forwarded:
        return forwarded[-1].rpartition(",")[2].strip()
    return request.client.host if request.client else ""


def _counted(address: str, signer: Signer) -> Client:
    networks = {signer.pseudonym(network): times for network, times in _networks(address).items()}
    name = next(iter(networks))
    return Client(name, {network: times for network, times in networks.items() if network != name})


def _networks(address: str) -> dict[str, int]:
    if written := WITH_PORT.fullmatch(address):
        address = written[1] or written[2]
    return networks_of(address)
