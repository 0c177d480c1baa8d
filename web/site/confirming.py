"""The link that a mail brings. Programs follow links of mails too, so it is a button that confirms."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from inktally.errors import BadForm
from inktally.mail.optin import Ask
from web.site.pages import TheSite, TheVisitor, page
from web.site.visitors import Visitor, forget_address, remember_address
from web.uploads import bodies

SMALL_FORM = 4096  # bytes

router = APIRouter(include_in_schema=False)


async def _form_field(request: Request) -> str:
    """What proves that a form is ours, of one that has nothing else in it. Raises what reading raises, `BadForm`."""
    body = await bodies.read(request, SMALL_FORM)
    try:
        return parse_qs(body.decode(), max_num_fields=10).get("form", [""])[0]
    except ValueError as error:
        raise BadForm("This form cannot be understood.") from error


FormField = Annotated[str, Depends(_form_field)]


@router.get("/confirm/{token}")
def ask(request: Request, token: str, site: TheSite, visitor: TheVisitor) -> Response:
    optin = site.mailing.optin
    asked = _meant(visitor, optin.open(token))
    return page(request, "confirm.html", address=asked.address, done=optin.is_confirmed(asked))


@router.post("/confirm/{token}")
def confirm(request: Request, token: str, form: FormField, site: TheSite, visitor: TheVisitor) -> Response:
    asked = _meant(visitor, site.mailing.optin.open(token))
    visitor.check_form(site.mailing.signer, form)
    site.mailing.optin.confirm(asked)
    request.app.state.hurry.set()
    answer = page(request, "confirm.html", address=asked.address, done=True)
    remember_address(answer, asked, site.mailing.signer, secure=site.is_secure)
    return answer


def _meant(visitor: Visitor, asked: Ask) -> Ask:
    """What this browser itself has asked, where that is the same: a stranger may have caused the day's mail."""
    own = visitor.ask
    return own if own is not None and own.person == asked.person else asked


@router.post("/address/forget")
def forget(form: FormField, site: TheSite, visitor: TheVisitor) -> Response:
    visitor.check_form(site.mailing.signer, form)
    answer = RedirectResponse("/", 303)
    forget_address(answer)
    return answer
