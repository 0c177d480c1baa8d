"""The page and the REST API as a command: python -m web.site."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from inktally.errors import BadSettings
from inktally.settings import read_settings
from web.serving import run_server
from web.site.app import create_app


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.site",
        description="Serve the page where people drop pictures and see their words, and the REST API at /api.",
        epilog="Settings (INKTALLY_SITE_HOST, …) are listed in the README; more stands in docs/page.md.",
    )
    parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = read_settings()
        run_server(create_app(settings), settings.site_host, settings.site_port)
    except BadSettings as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
