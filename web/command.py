"""What every command of the web has in common."""

import argparse
import logging
import time
from collections.abc import Callable, Sequence

from inktally.errors import BadSettings, MissingTool
from inktally.logs import escape_records
from inktally.settings import Settings, read_settings

ALIKE, ALIKE_SECONDS = 10, 60.0


class FewAlike(logging.Filter):
    """Lets the same warning through a few times a minute, and says when it begins to leave it out.

    Strangers cause warnings, a thousand a second if they like; the disk, and whoever reads the log, should not notice.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._begun = now()
        self._seen: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        if self._now() - self._begun > ALIKE_SECONDS:
            self._begun, self._seen = self._now(), {}
        template = str(record.msg)[:100]  # without what differs
        number = self._seen[template] = self._seen.get(template, 0) + 1
        if number == ALIKE:
            record.msg = f"{record.msg} (more like this are left out for up to {ALIKE_SECONDS:.0f} s)"
        return number <= ALIKE


def run_command(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[Settings, argparse.Namespace], int | None],
) -> int:
    """Run `work` as a command: it logs to stderr; a bad setting or a missing package ends it in one line."""
    asked = parser.parse_args(argv)
    escape_records()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(FewAlike())
    for noisy in ("httpx", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return work(read_settings(), asked) or 0
    except (BadSettings, MissingTool) as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
