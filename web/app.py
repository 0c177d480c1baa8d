"""The page and the REST API as one application and one command: python -m web.site."""

import argparse
from collections.abc import Sequence

from fastapi import FastAPI

from inktally.extras import require
from inktally.settings import Settings
from web.command import run_command
from web.serving import run_server


def create_app(settings: Settings) -> FastAPI:
    """The page, and the REST API at /api. Raises `BadSettings`, `MissingTool`."""
    require("page")
    from web.api.app import create_api
    from web.site.app import create_site

    app = create_site(settings)
    app.mount("/api", create_api(settings, app.state.site.store))
    return app


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.site",
        description="Serve the page where people drop pictures and see their words, and the REST API at /api.",
        epilog="Settings (INKTALLY_SITE_HOST, …) are listed in the README; docs/page.md says more.",
    )
    return run_command(parser, argv, serve)


def serve(settings: Settings, _asked: argparse.Namespace) -> None:
    """Until a signal ends it. Raises `BadSettings`, `MissingTool`."""
    app = create_app(settings)
    if settings.site_behind_proxy:  # all visitors share its connections
        settings = settings.model_copy(update={"connections_per_client": settings.connections})
    run_server(app, settings, settings.site_host, settings.site_port, on_stop=app.state.stopping.set)
