"""The addresses of the API, and what happens at each."""

import base64
import hashlib
import hmac
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Header, Path as InPath, Query, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from inktally.delivery import Delivery
from inktally.document import CountsDocument
from inktally.errors import NotFound, error_named
from inktally.intake import status
from inktally.intake.links import Policy
from inktally.intake.web import DIGEST, ID, ID_BYTES, checked_name, new_id, once, receive
from inktally.mail.optin import Ask
from inktally.mail.quotas import Client as Counted
from inktally.outputs import NAMES, word_counts_csv
from inktally.outputs.shared.registry import OUTPUTS
from inktally.ports import Store
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from web.api import description, problems
from web.api.access import Keys, Rates
from web.api.forms import COUNTED, Asked, Links, UploadReport
from web.api.sent import Sent, follow, receive as receive_body
from web.api.waiting import Waiting
from web.mailing import Mailing
from web.refused import Refused
from web.stored import stored
from web.uploads.places import BodyPlaces

SMALL = 5_000_000  # bytes; larger pictures are not waited for, unless the client prefers it
NEXT_LOOK = "1"  # seconds
NOT_FOR_CACHES = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Api:
    """What all requests share."""

    settings: Settings
    store: Store
    policy: Policy
    keys: Keys
    rates: Rates
    places: BodyPlaces
    waiting: Waiting
    mailing: Mailing


async def _api(request: Request) -> Api:
    return cast(Api, request.app.state.api)


async def _client(request: Request, api: Annotated[Api, Depends(_api)]) -> str:
    return api.keys.client_of(request)


TheApi = Annotated[Api, Depends(_api)]
Client = Annotated[str, Depends(_client)]
Id = Annotated[str, InPath(pattern=f"^{ID.pattern}$", description="of the upload")]
OutputName = Annotated[str, InPath(pattern=f"^({'|'.join(NAMES)})$", json_schema_extra={"enum": list(NAMES)})]
Prefer = Annotated[
    str, Header(max_length=200, description="respond-async: do not wait; wait=N: wait N seconds at most (RFC 7240)")
]
IdempotencyKey = Annotated[
    str,
    Header(max_length=255, description="the same picture, or link, sent again with the same key is the same upload"),
]


def router(*, has_keys: bool) -> APIRouter:
    """All the addresses; `has_keys`: whether clients have to show one."""
    made = APIRouter(
        dependencies=[Depends(_client)], responses=description.problems(401 if has_keys else 403, 405, 503)
    )
    made.post("/ocr", **description.OCR)(ocr)
    made.get("/uploads/{upload_id}", **description.UPLOAD)(upload)
    made.get("/uploads/{upload_id}/counts", **description.COUNTS)(counts)
    made.get("/uploads/{upload_id}/outputs/{output}", **description.OUTPUT)(output)
    return made


async def ocr(
    request: Request,
    api: TheApi,
    client: Client,
    asked: Annotated[Asked, Query()],
    prefer: Prefer = "",
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Take a picture and count its words."""
    api.rates.spend(client)
    upload_id = _id_for(client, idempotency_key) if idempotency_key else new_id()
    try:
        delivery = await _take(request, api, client, asked, upload_id, may_be_known=bool(idempotency_key))
    except ValidationError as error:
        return problems.of_faults([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()])
    seconds = api.waiting.seconds(prefer)
    if seconds is None and delivery.picture.size > SMALL:
        seconds = 0.0
    await api.waiting.until_answered(delivery, seconds, request.is_disconnected)
    return await _answer(request, api, upload_id)


async def upload(request: Request, api: TheApi, upload_id: Id, prefer: Prefer = "") -> Response:
    """How an upload fares."""
    if seconds := api.waiting.seconds(prefer):
        delivery = await run_in_threadpool(status.delivery_of, api.store, upload_id)
        await api.waiting.until_answered(delivery, seconds, request.is_disconnected)
    return _shown(request, await run_in_threadpool(status.status_of, api.store, upload_id, api.settings))


async def counts(
    api: TheApi, upload_id: Id, form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json"
) -> Response:
    """The counted words, by falling count."""
    return await run_in_threadpool(_json if form == "json" else _csv, api, upload_id)


async def output(api: TheApi, upload_id: Id, output: OutputName) -> Response:
    """One of the files that were made of a picture."""
    return await run_in_threadpool(_file, api, upload_id, output)


def _id_for(client: str, key: str) -> str:
    """The id that this client's idempotency key always gives, and that nobody else can guess."""
    digest = hmac.digest(client.encode(), key.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:ID_BYTES]).decode().rstrip("=")


async def _take(
    request: Request, api: Api, client: str, asked: Asked, upload_id: str, *, may_be_known: bool
) -> Delivery:
    """Receive a picture, and put it into the store, unless it `may_be_known` and is."""
    async with api.places.one(client), contextmanager_in_threadpool(scratch_folder(api.settings.scratch)) as folder:
        sent = await receive_body(request, folder, api.settings.max_bytes)
        asked = asked.with_fields(sent.fields)
        digest = await run_in_threadpool(sent.digest) if may_be_known else ""
        known = await run_in_threadpool(status.delivery_or_none, api.store, upload_id) if may_be_known else None
        if known is not None:
            return _same(known, digest)
        sent = await follow(sent, api.policy)
        return await run_in_threadpool(_put, api, client, sent, asked, upload_id, digest)


def _same(known: Delivery, digest: str) -> Delivery:
    """Raises `Refused` (422) when it is of another picture than the one that has come now."""
    if known.picture.metadata.get(DIGEST, digest) != digest:
        raise Refused(422, "KeyUsed", "This Idempotency-Key was used for another picture before; use a new one.")
    return known


def _put(api: Api, client: str, sent: Sent, asked: Asked, upload_id: str, digest: str) -> Delivery:
    """Once for an id; without a digest the id is new."""
    name = checked_name(sent.picture, asked.name or sent.name, api.settings)  # before anybody is mailed
    with once(api.store, upload_id, api.settings) if digest else nullcontext() as known:
        if known is not None:  # the same, sent twice at once
            return _same(known, digest)
        ask = Ask(address=asked.email, nonce=api.mailing.signer.pseudonym(f"api {client}"))
        email = api.mailing.recipient(ask, Counted(ask.nonce), [upload_id]) if asked.email else ""
        return receive(
            api.store,
            sent.picture,
            api.settings,
            name=name,
            upload_id=upload_id,
            email=email,
            language=asked.language,
            wishes=asked.wishes,
            digest=digest,
        )


async def _answer(request: Request, api: Api, upload_id: str) -> Response:
    """200 with the counts, the problem with the picture, or 202 when neither is there yet."""
    told = await run_in_threadpool(status.status_of, api.store, upload_id, api.settings)
    if told.state == "failed" and told.problem:
        return problems.of_error(error_named(told.problem.kind)(told.problem.message), upload=upload_id)
    if told.is_final:
        found = await run_in_threadpool(_counts_or_none, api, upload_id) if COUNTED in told.outputs else None
        return _shown(request, told, found)
    where = _links(request, told).status
    return _shown(request, told, status_code=202, headers={"Location": where, "Retry-After": NEXT_LOOK})


def _counts_or_none(api: Api, upload_id: str) -> CountsDocument | None:
    try:
        return _counted(api, upload_id)
    except NotFound:
        return None


def _counted(api: Api, upload_id: str) -> CountsDocument:
    return CountsDocument.model_validate_json(api.store.read(_key(api, upload_id, COUNTED)))


def _key(api: Api, upload_id: str, name: str) -> str:
    """Raises `NotFound`, and `Refused` (409) while it may still come."""
    told = status.status_of(api.store, upload_id, api.settings)
    if not told.is_final:
        raise Refused(409, "NotYet", "The picture has not been answered yet.", {"Retry-After": NEXT_LOOK})
    if name not in told.outputs:
        made = ", ".join(told.outputs) or "nothing"
        raise NotFound(f"There is no {name} of this picture; what was made of it: {made}.")
    return status.key_of(status.delivery_of(api.store, upload_id), name)


def _shown(
    request: Request,
    told: status.Status,
    found: CountsDocument | None = None,
    *,
    status_code: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    shown = UploadReport(**told.model_dump(), links=_links(request, told), counts=found)
    content = shown.model_dump(mode="json", by_alias=True)
    return JSONResponse(content, status_code, NOT_FOR_CACHES | (headers or {}))


def _links(request: Request, told: status.Status) -> Links:
    here = f"{request.scope.get('root_path', '')}/uploads/{told.id}"
    outputs = {name: f"{here}/outputs/{name}" for name in told.outputs}
    return Links(status=here, counts=f"{here}/counts" if COUNTED in told.outputs else None, outputs=outputs)


def _json(api: Api, upload_id: str) -> Response:
    key = _key(api, upload_id, COUNTED)
    return stored(api.store, key, api.settings.scratch, OUTPUTS[COUNTED].media_type, _saved_as("counts.json"))


def _csv(api: Api, upload_id: str) -> Response:
    table = word_counts_csv.table(_counted(api, upload_id))
    return Response(table, media_type=word_counts_csv.OUTPUT.media_type, headers=_saved_as("counts.csv"))


def _file(api: Api, upload_id: str, output: str) -> Response:
    made, key = OUTPUTS[output], _key(api, upload_id, output)
    return stored(api.store, key, api.settings.scratch, made.media_type, _saved_as(Path(made.key(output)).name))


def _saved_as(name: str) -> dict[str, str]:
    """What a picture says is a stranger's text: never shown as a page."""
    return NOT_FOR_CACHES | {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
