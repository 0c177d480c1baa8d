"""The receiver as a command: python -m web."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from inktally.settings import Settings
from web.hooks.receiver import create_app, topics_of
from web.hooks.senders import is_loopback
from web.serving import run_command, run_server

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web",
        description="Receive bucket events at POST /hooks/s3, and have Prefect run what they announce.",
        epilog="Settings (INKTALLY_WEB_HOST, …) are listed in the README; how to connect a bucket, in docs/events.md.",
    )
    return run_command(parser, argv, serve)


def serve(settings: Settings) -> None:
    """Serve until a signal ends it. Raises `BadSettings`."""
    from web.hooks.trigger import check_api, prefect_runs

    check_api()
    if not (settings.hook_secret.get_secret_value() or topics_of(settings) or is_loopback(settings.web_host)):
        logger.warning("nobody may send: neither INKTALLY_HOOK_SECRET nor INKTALLY_SNS_TOPICS is set")
    run_server(create_app(settings, prefect_runs), settings.web_host, settings.web_port)


if __name__ == "__main__":
    sys.exit(main())
