"""What the OpenAPI document says beyond what the code shows by itself."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from inktally.outputs.shared.registry import OUTPUTS
from web.api.forms import Asked, Link, UploadReport
from web.api.problems import MEDIA_TYPE, ProblemDetails

PICTURES = ("image/png", "image/jpeg", "image/tiff", "image/webp", "application/pdf", "application/octet-stream")
MEANING = {
    400: "The form cannot be read",
    401: "No key, or one that is not known",
    403: "No keys are set, and the client is not this machine itself",
    404: "There is no such upload, or no such output of it",
    405: "The address is not asked in this way; Allow says in which",
    408: "The picture came too slowly",
    409: "The picture has not been answered yet, or is still coming under the same Idempotency-Key",
    413: "Too many bytes, pixels or pages",
    415: "No picture of a kind that is read, or no such way to send one",
    422: "Something is wrong with the picture, the link, or what is asked",
    429: "Too many pictures of one client in a minute",
    503: "Too much is going on, or something that is needed is away",
}
WAIT = {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}
RETRIED = {409, 429, 503}
TEXT = {"schema": {"type": "string"}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The descriptions of problems, by their statuses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {
        status: {"description": MEANING[status], "content": content} | ({"headers": WAIT} if status in RETRIED else {})
        for status in statuses
    }


def _files(*media_types: str) -> dict[str, Any]:
    bare = dict.fromkeys(media_type.partition(";")[0] for media_type in media_types)
    return {media_type: {"schema": {} if media_type.endswith("json") else {"type": "string"}} for media_type in bare}


def _body() -> dict[str, Any]:
    form = Asked.model_json_schema()
    form["properties"]["file"] = {"type": "string", "format": "binary"}
    form["required"] = ["file"]
    return {
        **{media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in PICTURES},
        "multipart/form-data": {"schema": form, "encoding": {"file": {"contentType": "image/*, application/pdf"}}},
        "application/json": {"schema": Link.model_json_schema()},
    }


UPLOADED = {"model": UploadReport}
OCR: dict[str, Any] = {
    "operation_id": "ocr",
    "summary": "Count the words of a picture",
    "response_model": None,
    "openapi_extra": {"requestBody": {"required": True, "content": _body()}},
    "responses": {
        200: UPLOADED | {"description": "The picture has been answered"},
        202: UPLOADED
        | {
            "description": "The picture is there; how it fares is told at Location",
            "headers": WAIT | {"Location": {"description": "its status", "required": True, **TEXT}},
        },
    }
    | problems(400, 408, 409, 413, 415, 422, 429),
}
UPLOAD: dict[str, Any] = {
    "operation_id": "upload",
    "summary": "How an upload fares",
    "response_model": None,
    "responses": {200: UPLOADED | {"description": "How it fares"}} | problems(404, 422),
}
COUNTS: dict[str, Any] = {
    "operation_id": "counts",
    "summary": "The counted words",
    "response_model": None,
    "responses": {
        200: {
            "description": "By falling count",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/CountsDocument"}},
                "text/csv": TEXT,
            },
        }
    }
    | problems(404, 409, 422),
}
OUTPUT: dict[str, Any] = {
    "operation_id": "output",
    "summary": "One of the files that were made of a picture",
    "response_model": None,
    "responses": {200: {"description": "The file", "content": _files(*(each.media_type for each in OUTPUTS.values()))}}
    | problems(404, 409),
}


def describe(app: FastAPI, *, has_keys: bool) -> None:
    """Have the application describe itself, with its problems, and how keys are shown where there are any."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes, servers=app.servers
            )
            app.openapi_schema = _completed(made, has_keys=has_keys)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _completed(document: dict[str, Any], *, has_keys: bool) -> dict[str, Any]:
    components = document["components"]
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= schema.pop("$defs") | {"ProblemDetails": schema}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # an id or a name that cannot be is answered with 404
    if has_keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
    return document
