"""Time and memory of a process and all that it has started, watched from outside: no library is broken by that."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from inktally.errors import InktallyError, RecognitionTimeout, Stopped, TooLarge

EVERY = 0.05  # seconds; in which a process can take some 100 MB more
PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1024 * 1024


@dataclass
class Watchdog:
    """Kills a process that takes too long or too much, or whose work nobody wants any more; `verdict` tells why."""

    seconds: float
    megabytes: int
    is_wanted: Callable[[], bool] = lambda: True
    verdict: InktallyError | None = None
    _is_over: threading.Event = field(default_factory=threading.Event, init=False)

    @contextmanager
    def over(self, pid: int, kill: Callable[[], None]) -> Iterator[None]:
        """Within the block, the process and all that it has started are watched."""
        thread = threading.Thread(target=self._look, args=(pid, kill), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _look(self, pid: int, kill: Callable[[], None]) -> None:
        end = time.monotonic() + self.seconds
        while not self._is_over.wait(max(0.0, min(EVERY, end - time.monotonic()))):
            if resident_bytes(pid) > self.megabytes * MEGABYTE:
                self.verdict = too_much_memory(self.megabytes)
            elif time.monotonic() >= end:
                self.verdict = too_late(self.seconds)
            elif not self.is_wanted():
                self.verdict = Stopped("Nobody waits for this recognition any more.")
            if self.verdict:
                kill()
                return


def too_much_memory(megabytes: int) -> TooLarge:
    return TooLarge(
        f"To read the picture takes more than {megabytes:,} MB of memory; scale it down (300 dpi is enough), or send "
        "its pages one by one."
    )


def too_late(seconds: float) -> RecognitionTimeout:
    return RecognitionTimeout(f"Recognition was stopped after {seconds:g} seconds; try a smaller picture.")


def too_slow(seconds: float, pages: int) -> RecognitionTimeout:
    """Of a document whose pages are slow, though none of them too slow by itself."""
    return RecognitionTimeout(
        f"Recognition was stopped when {pages:,} pages had taken {seconds:,.0f} seconds; send the document in parts."
    )


def resident_bytes(pid: int) -> int:
    """Of the process and its descendants; 0 where the system does not tell, as only Linux does.

    Asked often, while pages are read: so files are opened by their names, which is quicker than `Path.glob`.
    """
    return sum(_resident(each) for each in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            for child in _read(f"/proc/{pid}/task/{thread}/children").split():
                yield from _family(int(child))


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(_read(f"/proc/{pid}/statm").split()[1]) * PAGE
    return 0


def _read(file: str) -> bytes:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)
