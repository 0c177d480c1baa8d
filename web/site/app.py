"""The site as an ASGI application: the page, and below /api the REST API."""

from __future__ import annotations

from importlib.util import find_spec

from fastapi import FastAPI

from inktally.settings import Settings
from web.meters import Meters
from web.serving import add_meters
from web.site.headers import SecurityHeaders, content_policy


def create_app(settings: Settings) -> FastAPI:
    """Raises `BadSettings`."""
    app = FastAPI(openapi_url=None)
    add_meters(app, Meters())
    if find_spec("web.api"):
        from web.api.app import create_api

        app.mount("/api", create_api(settings))
    app.add_middleware(SecurityHeaders, policy=content_policy(), is_secure=settings.site_url.startswith("https:"))
    return app
