"""Errors as problem details (RFC 9457): of every error within the API, whoever raised it."""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as AnyHTTPException

from inktally.errors import InktallyError, QuotaUsedUp
from inktally.mail.letters import ADVICE
from inktally.mail.quotas import seconds_left
from web.refused import Refused
from web.uploads.places import RETRY_SECONDS

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a new word begins in the name of a kind."""
LONGEST_DETAIL = 600
OURS = "This is a fault of the service; those who run it can see it."


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    where: str = Field(examples=["query.min_confidence"])
    message: str


class ProblemDetails(BaseModel):
    """What is wrong, as RFC 9457 has it, and what to do about it."""

    type: str = Field(description="names the kind of problem", examples=["urn:inktally:problem:too-large"])
    title: str = Field(description="the HTTP status in words")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="what is wrong, in a sentence")
    kind: str = Field(description="the kind of problem, for programs", examples=["TooLarge"])
    advice: str | None = Field(default=None, description="what to do about it")
    upload: str | None = Field(default=None, description="id of the upload that the problem is with")
    errors: list[Fault] | None = Field(default=None, description="what is wrong with the request, one by one")


def problem(status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """`more`: advice, upload, errors. Of a body that is too large, or too slow, the rest is not waited for."""
    told = ProblemDetails(
        type=f"urn:inktally:problem:{WORDS.sub('-', kind).lower()}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail[:LONGEST_DETAIL],
        kind=kind,
        **more,
    )
    closing = {"Connection": "close"} if status in {408, 413} else {}
    content = told.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, {**(headers or {}), **closing}, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have the application tell all its errors so."""
    app.exception_handler(AnyHTTPException)(_of_http)
    app.exception_handler(RequestValidationError)(lambda _request, error: of_faults(error.errors()))
    app.exception_handler(InktallyError)(lambda _request, error: of_error(error))
    app.exception_handler(Exception)(lambda _request, _error: problem(500, "Unforeseen", OURS))  # the server logs it


def _of_http(request: Request, error: AnyHTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    kind = error.kind if isinstance(error, Refused) else status.phrase.title().replace(" ", "")
    detail = str(error.detail)
    if status == HTTPStatus.NOT_FOUND and not isinstance(error, Refused):
        detail = "There is nothing at this address; openapi.json lists what there is."
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not possible here."
    return problem(status, kind, detail, error.headers)


def of_faults(found: Sequence[Any]) -> JSONResponse:
    """What pydantic says of a request. Its values are not repeated. An id that cannot exist is one that nobody has."""
    if any(fault["loc"][:1] == ("path",) for fault in found):
        return problem(404, "NotFound", "There is no such upload, or no such output.")
    faults = [Fault(where=".".join(map(str, fault["loc"])), message=fault["msg"]) for fault in found]
    told = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    return problem(422, "BadRequest", f"The request cannot be understood: {told}", errors=faults)


def of_error(error: InktallyError, **more: Any) -> JSONResponse:
    """Of faults of ours only the kind is told: their sentences name addresses and folders."""
    headers = {"Retry-After": RETRY_SECONDS} if error.retryable else None
    if isinstance(error, QuotaUsedUp):
        headers = {"Retry-After": str(seconds_left(datetime.now(UTC)))}
    detail, advice = str(error), ADVICE.get(error.kind)
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request could not be served: %s", error)
        detail, advice = OURS, "Please try again in a moment." if error.retryable else None
    return problem(error.http_status, error.kind, detail, headers, advice=advice, **more)
