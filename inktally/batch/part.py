"""A part of a batch's pictures, and how fast it is read."""

import time
from threading import Lock

from inktally.delivery import StoredObject
from inktally.document import Value, sha256_of


class Part(Value):
    """Which part of a batch's pictures: one of so many. `rate` is that of the whole batch, in pictures a second."""

    number: int = 0
    shares: int = 1
    rate: float = 0.0

    def holds(self, picture: StoredObject) -> bool:
        """Pictures of one content are in one part."""
        return int(sha256_of(picture.etag, str(picture.size))[:8], 16) % self.shares == self.number

    @property
    def pause(self) -> float:
        """Seconds between the beginnings of two pictures; 0: none is needed."""
        return self.shares / self.rate if self.rate else 0.0


class Pace:
    """Gives out turns that are `pause` seconds apart at least; 0: at once."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._next = 0.0
        self._lock = Lock()

    def wait(self) -> None:
        """Until it is our turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._pause
        time.sleep(turn - now)
