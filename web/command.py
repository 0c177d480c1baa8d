"""What every command of the web has in common."""

import argparse
import logging
from collections.abc import Callable, Sequence

from inktally.errors import BadSettings, MissingTool
from inktally.settings import Settings, read_settings


def run_command(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[Settings, argparse.Namespace], int | None],
) -> int:
    """Run `work` as a command: it logs to stderr; a bad setting or a missing package ends it in one line."""
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return work(read_settings(), asked) or 0
    except (BadSettings, MissingTool) as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
