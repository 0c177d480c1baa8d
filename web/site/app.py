"""The page as an ASGI application; `web/app.py` adds the REST API."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles

from inktally import plugins
from inktally.intake import late_mails
from inktally.ports import Store, TakesPosts
from inktally.settings import Settings
from web import mailing
from web.serving import add_health, meanwhile
from web.site import confirming, following, problems, results, sending
from web.site.headers import HeadAsGet, SecurityHeaders, content_policy
from web.site.pages import STATIC, Site
from web.site.previews import Previews

logger = logging.getLogger(__name__)

SOON_SECONDS, LATER_SECONDS, TIDY_SECONDS = 2.0, 300.0, 3600.0


def create_site(settings: Settings) -> FastAPI:
    """Raises `BadSettings`."""
    store = plugins.store(settings.store, settings)
    site = Site(settings, store, mailing.of(settings, store), Previews(store, settings))
    app = FastAPI(openapi_url=None, lifespan=_lifespan)
    app.state.site = site
    app.state.hurry = asyncio.Event()
    app.state.streams, app.state.stopping = Counter(), asyncio.Event()
    for routes in (sending, confirming, following, results):
        app.include_router(routes.router)
    add_health(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    problems.install(app)
    policy = content_policy(_origin_of_posts(store))
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders, policy=policy, is_secure=site.is_secure)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with meanwhile(_mail_what_is_due(app), _tidy(app.state.site)):
        yield
        app.state.stopping.set()


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
        return site.mailing.optin.mail_waiting() + late_mails.settle(site.store, site.mailing.notifier, site.settings)
    except Exception:  # it is tried again, and must not end the task
        logger.exception("what is due cannot be mailed now")
        return 1


async def _tidy(site: Site) -> None:
    while True:
        for forget in (site.mailing.quotas.forget, site.mailing.optin.forget):
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
