"""How far a batch has come, how fast, and how long it will still take; told through logging as all progress is."""

import logging
import threading
import time
from collections.abc import Iterable

from inktally.progress import logger

EVERY, EVERY_MOMENT = 10.0, 0.5  # seconds: for logs, and for who draws a bar
MINUTE, HOUR = 60, 3600


class BatchProgress:
    """Told how many pictures are done, it tells it now and then, with what that means for the rest.

    `pictures` are listed beside the work, to find out how many there are: `total` is None until that is known.
    """

    def __init__(self, pictures: Iterable[object]) -> None:
        self.total: int | None = None
        self._begun = time.monotonic()
        self._told = self._told_moment = 0.0
        threading.Thread(target=self._number, args=(pictures,), name="batch-listing", daemon=True).start()

    def _number(self, pictures: Iterable[object]) -> None:
        try:
            self.total = sum(1 for _ in pictures)
        except Exception as error:  # noqa: BLE001 - who works on the pictures finds out himself
            logger.warning("how many pictures there are cannot be told: %s", error)

    def tell(self, stage: str, done: int, skipped: int = 0) -> None:
        """`done` pictures have passed this stage, `skipped` of them because nothing was to be done."""
        now = time.monotonic()
        level = self._level(now)
        if level:
            said = {"stage": stage, "done": done, "total": self.total}
            logger.log(level, "%s: %s", stage, self._described(done, skipped, now), extra=said)

    def _level(self, now: float) -> int:
        """0: nothing is told this time."""
        if now - self._told >= EVERY:
            self._told = self._told_moment = now
            return logging.INFO
        if now - self._told_moment >= EVERY_MOMENT:
            self._told_moment = now
            return logging.DEBUG
        return 0

    def _described(self, done: int, skipped: int, now: float) -> str:
        """As in: 120 of 1,000 pictures, 3.4 a second, 4 min to go."""
        pictures = f"{done:,} of {self.total:,} pictures" if self.total else f"{done:,} pictures"
        rate = (done - skipped) / (now - self._begun)
        left = f", {_duration((self.total - done) / rate)} to go" if self.total and rate else ""
        return f"{pictures}, {rate:.1f} a second{left}"


def _duration(seconds: float) -> str:
    for unit, name in ((HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
