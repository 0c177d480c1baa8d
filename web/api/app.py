"""The REST API as an application of its own: its errors, its OpenAPI document and its CORS touch nothing else.

The site mounts it at /api. What it takes goes into the store; what reads the pictures is started from there.
"""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from inktally import __doc__ as about
from inktally.intake.links import Policy
from inktally.ports import Store
from inktally.settings import Settings
from web import mailing
from web.api import description, problems, routes
from web.api.access import Keys, Rates, origins_of
from web.api.waiting import Waiting
from web.uploads.places import BodyPlaces

ASKED_BY_PAGES = ["Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "Prefer"]
TOLD_TO_PAGES = ["Location", "Retry-After", "Preference-Applied"]


def create_api(settings: Settings, store: Store, policy: Policy | None = None) -> FastAPI:
    """`policy` says where links may lead. Raises `BadSettings`."""
    keys = Keys(settings)
    app = FastAPI(title="Inktally", version="1", summary=about, docs_url=None, redoc_url=None)
    app.state.api = routes.Api(
        settings=settings,
        store=store,
        policy=policy or Policy(max_bytes=settings.max_bytes, seconds=settings.link_seconds),
        keys=keys,
        rates=Rates(settings.api_uploads_per_minute),
        places=BodyPlaces(settings.api_uploads_at_once),
        waiting=Waiting(store, settings.api_wait_seconds),
        mailing=mailing.of(settings, store),
    )
    problems.install(app)
    app.include_router(routes.router(has_keys=keys.are_set))
    description.describe(app, has_keys=keys.are_set)
    if origins := origins_of(settings):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=ASKED_BY_PAGES,
            expose_headers=TOLD_TO_PAGES,
        )
    return app
