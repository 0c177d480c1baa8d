"""What was read on a picture: its words in their boxes, the most frequent ones, and all that was written of it."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path as InPath, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from inktally import keys
from inktally.delivery import Delivery
from inktally.document import CountsDocument
from inktally.errors import NotFound, Overwritten
from inktally.intake import status
from inktally.outputs.shared.registry import OUTPUTS
from inktally.ports import value_or_none
from inktally.scratch import scratch_folder
from inktally.text import file_name
from web.site import drawing, grants
from web.site.pages import Site, TheSite, TheVisitor, page
from web.site.wording import WARNINGS
from web.stored import stored

LONGEST_SEARCH = 100
MOST_PAGES = 100_000
CONTENT_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"

router = APIRouter(include_in_schema=False)
Number = Annotated[int, InPath(ge=1, le=grants.MOST_FILES)]
PageNumber = Annotated[int, InPath(ge=1, le=MOST_PAGES)]


@router.get("/uploads/{token}/{number}")
def result_page(
    request: Request,
    site: TheSite,
    token: str,
    number: Number,
    shown: Annotated[int, Query(alias="page", ge=1, le=MOST_PAGES)] = 1,
    q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
) -> Response:
    upload = grants.one_of(site, token, number)
    found = status.status_of(site.store, upload, site.settings)
    if found.state != "answered":
        return RedirectResponse(f"/uploads/{token}", 303)
    delivery = status.delivery_of(site.store, upload)
    with site.readings:
        counts = value_or_none(site.store, keys.word_counts(delivery.upload.name), CountsDocument)
    return page(
        request,
        "result.html",
        status=200,
        found=found,
        files=sorted(OUTPUTS.keys() & found.outputs, key=lambda name: OUTPUTS[name].place),
        labels={name: output.labels for name, output in OUTPUTS.items()},
        base=f"/uploads/{token}/{number}",
        token=token,
        drawn=_drawn(site, delivery, shown, drawing.folded(q)),
        has_picture=site.previews.picture(delivery) is not None,
        counts=counts,
        warnings=WARNINGS,
        bars=drawing.bars(counts) if counts else [],
        listed=counts.words[: drawing.LISTED] if counts else [],
        most_in_list=drawing.MOST_IN_LIST,
        q=q,
        limits=(drawing.SURE, drawing.FAIR),
    )


@router.get("/uploads/{token}/{number}/pages/{shown}")
async def preview(site: TheSite, visitor: TheVisitor, token: str, number: Number, shown: PageNumber) -> Response:
    """Those that must be drawn wait for their turn here, where they keep nobody else from being answered."""
    delivery = await run_in_threadpool(_delivery, site, token, number)
    known = await run_in_threadpool(site.previews.known, delivery, shown)
    if known is None:
        async with site.previews.place(visitor.client):
            known = await run_in_threadpool(site.previews.page, delivery, shown)
    return Response(known, media_type="image/webp")


@router.get("/uploads/{token}/{number}/files/{output}")
def download(site: TheSite, token: str, number: Number, output: str) -> Response:
    """Saved, never shown: what stands in it is a stranger's."""
    delivery = _delivery(site, token, number)
    key = status.key_of(delivery, output)
    name = quote(f"{file_name(delivery.upload.short_name)}.{output}{OUTPUTS[output].suffix}", safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": CONTENT_POLICY,
    }
    return stored(site.store, key, site.settings.scratch, OUTPUTS[output].media_type, headers)


def _delivery(site: Site, token: str, number: int) -> Delivery:
    return status.delivery_of(site.store, grants.one_of(site, token, number))


def _drawn(site: Site, delivery: Delivery, shown: int, wanted: str) -> drawing.Drawing | None:
    """None when coordinates were not asked for, or have gone. They may be large, so they are read line by line."""
    key = OUTPUTS["coordinates_json"].key(delivery.upload.name)
    with site.readings, scratch_folder(site.settings.scratch) as folder:
        try:
            site.store.download(site.store.stat(key), folder / "words")
            with (folder / "words").open("rb") as lines:
                return drawing.drawn(lines, shown, wanted)
        except (NotFound, Overwritten, ValueError, LookupError, TypeError):
            return None
