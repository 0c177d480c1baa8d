"""Turns that all processes of a user on one machine share."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inktally.scratch import _ours, _told_when_full

NEXT_LOOK = 0.005  # seconds


@contextmanager
def turn(parent: Path, turns: int) -> Iterator[None]:
    """One of so many turns that all processes of this user on this machine share; waits until one is free."""
    with _told_when_full(parent):
        ours = _ours(parent)
    while True:
        for number in range(turns):
            with _told_when_full(parent), (ours / f"turn-{number}").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
        time.sleep(NEXT_LOOK)
