"""The link that a mail brings. Programs follow links of mails too, so it is a button that confirms."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from inktally.mail.optin import Ask
from web.site.pages import page, site_of
from web.site.visitors import Visitor, forget_address, remember_address
from web.uploads.bodies import form_field

router = APIRouter(include_in_schema=False)

FormField = Annotated[str, Depends(form_field)]


@router.get("/confirm/{token}")
def ask(request: Request, token: str) -> Response:
    site = site_of(request)
    asked = _meant(site.visitor(request), site.optin.open(token))
    return page(request, "confirm.html", address=asked.address, done=site.optin.is_confirmed(asked))


@router.post("/confirm/{token}")
def confirm(request: Request, token: str, form: FormField) -> Response:
    site = site_of(request)
    visitor = site.visitor(request)
    asked = _meant(visitor, site.optin.open(token))
    visitor.check_form(site.signer, form)
    site.optin.confirm(asked)
    request.app.state.hurry.set()
    answer = page(request, "confirm.html", address=asked.address, done=True)
    remember_address(answer, asked, site.signer, secure=site.is_secure)
    return answer


def _meant(visitor: Visitor, asked: Ask) -> Ask:
    """What this browser itself has asked, where that is the same: a stranger may have caused the day's mail."""
    own = visitor.ask
    return own if own is not None and own.person == asked.person else asked


@router.post("/address/forget")
def forget(request: Request, form: FormField) -> Response:
    site = site_of(request)
    site.visitor(request).check_form(site.signer, form)
    answer = RedirectResponse("/", 303)
    forget_address(answer)
    return answer
