"""What was read on a picture: its words in their boxes, the most frequent ones, and all that was written of it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from inktally import status
from inktally.document import CountsDocument, Delivery
from inktally.errors import NotFound
from inktally.mails import file_name
from inktally.outputs.catalogue import OUTPUTS
from web.site import drawing, grants
from web.site.drawing import Coordinates
from web.site.pages import Site, page, site_of

LONGEST_SEARCH = 100
CONTENT_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"

router = APIRouter(include_in_schema=False)


@router.get("/uploads/{token}/{number:int}")
def result_page(
    request: Request,
    token: str,
    number: int,
    shown: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
    q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
) -> Response:
    site = site_of(request)
    upload = grants.one_of(site, token, number)
    found = status.status_of(site.store, upload, site.settings)
    if found.state != "answered":
        return RedirectResponse(f"/uploads/{token}", 303)
    delivery = status.delivery_of(site.store, upload)
    coordinates, counts, wanted = _coordinates(site, delivery), _counts(site, delivery), drawing.folded(q)
    shown = min(shown, len(coordinates.pages)) if coordinates else 1
    hits = drawing.search(coordinates.words, wanted) if coordinates else []
    return page(
        request,
        "result.html",
        status=200,
        found=found,
        base=f"/uploads/{token}/{number}",
        token=token,
        sheet=drawing.sheet(coordinates, shown, wanted) if coordinates else None,
        pages=len(coordinates.pages) if coordinates else 0,
        shown=shown,
        has_picture=site.previews.picture(delivery) is not None,
        counts=counts,
        bars=drawing.bars(counts) if counts else [],
        listed=counts.words[: drawing.LISTED] if counts else [],
        q=q,
        hits=hits[: drawing.MOST_FOUND],
        hits_in_all=len(hits),
        limits=(drawing.SURE, drawing.FAIR),
    )


@router.get("/uploads/{token}/{number:int}/pages/{shown:int}")
def preview(request: Request, token: str, number: int, shown: int) -> Response:
    site = site_of(request)
    delivery = status.delivery_of(site.store, grants.one_of(site, token, number))
    coordinates = _coordinates(site, delivery)
    if coordinates is None or not 1 <= shown <= len(coordinates.pages):
        raise NotFound("There is no such page.")
    return Response(site.previews.page(delivery, shown), media_type="image/webp")


@router.get("/uploads/{token}/{number:int}/files/{output}")
def download(request: Request, token: str, number: int, output: str) -> Response:
    """Saved, never shown: what stands in it is a stranger's."""
    site = site_of(request)
    delivery = status.delivery_of(site.store, grants.one_of(site, token, number))
    content = status.output_of(site.store, delivery, output)
    suffix = OUTPUTS[output].key("x").rpartition("/")[2].removeprefix("x")
    name = quote(f"{file_name(delivery.upload.short_name)}.{output}{suffix}", safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": CONTENT_POLICY,
    }
    return Response(content, media_type=OUTPUTS[output].media_type, headers=headers)


def _coordinates(site: Site, delivery: Delivery) -> Coordinates | None:
    """None when they were not asked for, or have gone."""
    try:
        return Coordinates.read(status.output_of(site.store, delivery, "coordinates_json"))
    except (NotFound, ValueError):
        return None


def _counts(site: Site, delivery: Delivery) -> CountsDocument | None:
    try:
        return CountsDocument.model_validate_json(status.output_of(site.store, delivery, "word_counts"))
    except (NotFound, ValueError):
        return None
