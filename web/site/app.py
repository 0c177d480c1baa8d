"""The site as an ASGI application: the page, and below /api the REST API."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from inktally import plugins
from inktally.intake import late_mails
from inktally.mail.links import signer
from inktally.mail.optin import OptIn
from inktally.mail.quotas import Quotas
from inktally.ports import Store, TakesPosts
from inktally.settings import Settings
from web.api.app import create_api
from web.site import confirming, following, problems, results, uploads
from web.site.headers import HeadAsGet, SecurityHeaders, content_policy
from web.site.pages import STATIC, Site
from web.site.previews import Previews
from web.uploads.places import Places

logger = logging.getLogger(__name__)

SOON_SECONDS, LATER_SECONDS, TIDY_SECONDS = 2.0, 300.0, 3600.0


def create_app(settings: Settings) -> FastAPI:
    """Raises `BadSettings`."""
    site = open_site(settings)
    app = FastAPI(openapi_url=None, lifespan=_lifespan)
    app.state.site = site
    app.state.places = Places()
    app.state.hurry = asyncio.Event()
    app.state.streams, app.state.stopping = Counter(), asyncio.Event()
    _add_routes(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.mount("/api", create_api(settings, site.store))
    problems.install(app)
    policy = content_policy(_origin_of_posts(site.store))
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders, policy=policy, is_secure=site.is_secure)
    return app


def open_site(settings: Settings) -> Site:
    """Raises `BadSettings`."""
    store, notifier = plugins.store(settings.store, settings), plugins.notifier(settings)
    signs = signer(settings)
    return Site(
        settings=settings,
        store=store,
        notifier=notifier,
        signer=signs,
        optin=OptIn(store, notifier, signs, settings),
        quotas=Quotas(store),
        previews=Previews(store, settings),
        url=settings.site_url.rstrip("/") or f"http://{settings.site_host}:{settings.site_port}",
    )


def _add_routes(app: FastAPI) -> None:
    for routes in (uploads, confirming, following, results):
        app.include_router(routes.router)

    @app.get("/healthz", include_in_schema=False)
    async def health() -> Response:
        return JSONResponse({"status": "up"})


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    mailing = asyncio.create_task(_mail_what_is_due(app))
    tidying = asyncio.create_task(_tidy(app.state.site))
    yield
    app.state.stopping.set()
    for task in (mailing, tidying):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _mail_what_is_due(app: FastAPI) -> None:
    """Soon after an address was given or confirmed, ever less often while something waits, and now and then anyway.

    Another process may have been killed over it.
    """
    pause = SOON_SECONDS
    while True:
        app.state.hurry.clear()
        left = await run_in_threadpool(_left_to_mail, app.state.site)
        try:
            await asyncio.wait_for(app.state.hurry.wait(), pause if left else LATER_SECONDS)
            pause = SOON_SECONDS
        except TimeoutError:
            pause = min(1.5 * pause, LATER_SECONDS)


def _left_to_mail(site: Site) -> int:
    """How much waits after all has been mailed that can be."""
    try:
        return site.optin.mail_waiting() + late_mails.settle(site.store, site.notifier, site.settings)
    except Exception:  # it is tried again, and must not end the task
        logger.exception("what is due cannot be mailed now")
        return 1


async def _tidy(site: Site) -> None:
    while True:
        for forget in (site.quotas.forget, site.optin.forget):
            try:
                await run_in_threadpool(forget)
            except Exception:
                logger.exception("what is over cannot be removed now")
        await asyncio.sleep(TIDY_SECONDS)


def _origin_of_posts(store: Store) -> str:
    """Where browsers send pictures to; empty: to us."""
    if not isinstance(store, TakesPosts):
        return ""
    form = store.post_form("input/web/x", metadata={}, content_type="image/png", max_bytes=1, seconds=1)
    parts = urlsplit(form.url)
    return f"{parts.scheme}://{parts.netloc}"
