"""The page and the REST API as a command: python -m web.site."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from inktally.extras import require
from inktally.settings import Settings
from web.serving import run_command, run_server


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.site",
        description="Serve the page where people drop pictures and see their words, and the REST API at /api.",
        epilog="Settings (INKTALLY_SITE_HOST, …) are listed in the README; more stands in docs/page.md.",
    )
    return run_command(parser, argv, serve)


def serve(settings: Settings) -> None:
    """Until a signal ends it. Raises `BadSettings`, `MissingTool`."""
    require("page")
    from web.site.app import create_app

    app = create_app(settings)
    run_server(app, settings.site_host, settings.site_port, on_stop=app.state.stopping.set)


if __name__ == "__main__":
    sys.exit(main())
