"""Errors as pages that say what to do: of every error within the site, whoever raised it."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inktally.errors import BadRequest, Busy, InktallyError, UnknownLink
from web.site.pages import SERVER_FAULT, error_page

logger = logging.getLogger(__name__)

NOWHERE = {404, 405}


def install(app: FastAPI) -> None:
    """Before whatever adds headers to all answers, so that pages of errors have them too."""
    app.exception_handler(InktallyError)(_of_ours)
    app.exception_handler(HTTPException)(_of_http)
    app.exception_handler(RequestValidationError)(_of_request)
    app.add_middleware(Unforeseen)


async def _of_ours(request: Request, error: InktallyError) -> Response:
    if error.http_status >= SERVER_FAULT:
        logger.error("%s could not be served: %s", _kind_of_page(request), error)
    return await run_in_threadpool(error_page, request, error)


async def _of_http(request: Request, error: HTTPException) -> Response:
    """What the framework refuses, or has too much of."""
    told: InktallyError = Busy("Too much is going on just now.")
    if error.status_code in NOWHERE:
        told = UnknownLink("There is nothing here.")
    elif error.status_code < SERVER_FAULT:
        told = BadRequest(str(error.detail))
    answer = await run_in_threadpool(error_page, request, told)
    answer.status_code = error.status_code
    answer.headers.update(error.headers or {})
    return answer


async def _of_request(request: Request, error: RequestValidationError) -> Response:
    """An address that cannot be leads nowhere; all else is a form that no page of ours sends."""
    is_body = any(fault["loc"][0] == "body" for fault in error.errors())
    told = BadRequest("This cannot be understood.") if is_body else UnknownLink("There is nothing here.")
    return await run_in_threadpool(error_page, request, told)


class Unforeseen:
    """Whatever nobody has thought of is a page as well, and stands in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            if has_begun or scope["type"] != "http":
                raise
            request = Request(scope)
            logger.exception("%s could not be served", _kind_of_page(request))
            answer = await run_in_threadpool(error_page, request, InktallyError("Unforeseen."))
            await answer(scope, receive, send)


def _kind_of_page(request: Request) -> str:
    """The rest of an address may be a secret."""
    return request.url.path.split("/")[1] or "the page"
