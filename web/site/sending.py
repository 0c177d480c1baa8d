"""Sending pictures: the page, leave to send them straight to the store, and the form that works without JavaScript."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile

from inktally import keys
from inktally.errors import BadForm, Overwritten
from inktally.imaging.decoding.formats import PICTURE_SUFFIXES
from inktally.intake.web import checked_name, once, receive
from inktally.languages import AUTO, by_prefix
from inktally.scratch import scratch_folder
from web.site import grants
from web.site.pages import Site, TheSite, TheVisitor, about, page
from web.site.visitors import Visitor, remember, remember_address
from web.site.wording import language_name, language_names
from web.uploads import bodies

router = APIRouter(include_in_schema=False)


class GrantRequest(grants.Wish):
    """What the page's script sends to get leave."""

    form: str = Field(max_length=1000)
    names: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(min_length=1, max_length=grants.MOST_FILES)


@router.get("/")
def upload_page(request: Request, site: TheSite, visitor: TheVisitor) -> Response:
    usual = by_prefix(site.settings.language_by_prefix, keys.FROM_WEB) or site.settings.language
    return page(
        request,
        "upload.html",
        confirmed=visitor.ask is not None and site.mailing.optin.is_confirmed(visitor.ask),
        usual=language_names(usual, visitor.language),
        texts={code: language_name(code, visitor.language) for code in [AUTO, *grants.offered_languages(site)]},
        max_bytes=site.settings.max_bytes,
        most_files=grants.MOST_FILES,
        suffixes=",".join(sorted(PICTURE_SUFFIXES)),
    )


@router.post("/uploads/grants")
async def ask_leave(request: Request, site: TheSite, visitor: TheVisitor) -> Response:
    """Where each picture is to be sent, and where the visitor sees what becomes of them."""
    try:
        asked = GrantRequest.model_validate_json(await bodies.read(request, bodies.AROUND_FILES))
    except ValidationError as error:
        raise BadForm("This form cannot be understood.") from error
    answer = await run_in_threadpool(_give_leave, request, site, visitor, asked)
    request.app.state.hurry.set()  # a link may wait to be mailed
    return answer


def _give_leave(request: Request, site: Site, visitor: Visitor, asked: GrantRequest) -> Response:
    visitor.check_form(site.mailing.signer, asked.form)
    leave = grants.grant(site, visitor, asked)
    told = {"page": grants.link(site, leave.grants), "files": [grants.form_of(site, each) for each in leave.grants]}
    return _remembering(JSONResponse(told), request, site, visitor, leave)


@router.put("/uploads/put/{token}")
async def put(request: Request, token: str, site: TheSite, visitor: TheVisitor) -> Response:
    """One picture on its way into a folder store; the address that we have signed says which."""
    granted = grants.Grant.model_validate(site.mailing.signer.open("put", token, grants.PUT_SECONDS))
    async with site.places.one(visitor.client):
        with scratch_folder(site.settings.scratch) as folder:
            await bodies.save(request, folder / "picture", site.settings.max_bytes)
            await run_in_threadpool(_receive_once, site, granted, folder / "picture")
    return Response(status_code=201)


@router.post("/uploads")
async def send_form(request: Request, site: TheSite, visitor: TheVisitor) -> Response:
    """The form as a browser without JavaScript sends it; all files together may have the size of one."""
    most = site.settings.max_bytes
    async with site.places.one(visitor.client), bodies.form(request, most, grants.MOST_FILES) as form:
        visitor.check_form(site.mailing.signer, str(form.get("form", "")))
        files = [each for each in form.getlist("pictures") if isinstance(each, UploadFile) and each.filename]
        if not files:
            return RedirectResponse("/", 303)
        try:
            wish = grants.Wish(
                names=tuple(file.filename or "" for file in files),
                email=str(form.get("email", "")),
                language=str(form.get("language", "")),
            )
        except ValidationError as error:
            raise BadForm("This form cannot be understood.") from error
        leave = await run_in_threadpool(_receive_all, site, visitor, wish, files)
        request.app.state.hurry.set()
    return _remembering(RedirectResponse(grants.link(site, leave.grants), 303), request, site, visitor, leave)


@router.get("/uploads")
def begin_anew(request: Request) -> Response:
    """For whoever loads the page again that said what was wrong with a form, or wants it in another language."""
    return RedirectResponse(f"/?{request.url.query}", 303)


def _receive_all(site: Site, visitor: Visitor, wish: grants.Wish, files: list[UploadFile]) -> grants.Leave:
    """All of them or none: who had to send one of them again would send the others twice."""
    with scratch_folder(site.settings.scratch) as folder:
        paths = [folder / str(number) for number in range(len(files))]
        for name, path, sent in zip(wish.names, paths, files, strict=True):
            bodies.copy(sent, path)
            with about(name):
                checked_name(path, name, site.settings)
        leave = grants.grant(site, visitor, wish)
        for granted, path in zip(leave.grants, paths, strict=True):
            _receive(site, granted, path)
    return leave


def _receive_once(site: Site, granted: grants.Grant, path: Path) -> None:
    with once(site.store, granted.id, site.settings) as known:
        if known is not None:
            raise Overwritten("This picture has come already; load the page again to send another.")
        _receive(site, granted, path)


def _receive(site: Site, granted: grants.Grant, path: Path) -> None:
    receive(
        site.store,
        path,
        site.settings,
        name=granted.name,
        upload_id=granted.id,
        email=granted.email,
        language=granted.language,
    )


def _remembering(answer: Response, request: Request, site: Site, visitor: Visitor, leave: grants.Leave) -> Response:
    remember(answer, request, visitor, secure=site.is_secure)
    if leave.ask is not None:
        remember_address(answer, leave.ask, site.mailing.signer, secure=site.is_secure)
    return answer
