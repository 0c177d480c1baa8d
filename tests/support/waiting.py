"""Waiting until something holds, in place of sleeping. Nothing slow is imported here: unit tests wait too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

START_SECONDS = 150
"""In which a server starts, on a busy machine."""


class Started(Protocol):
    """Of a process, what is asked while it starts."""

    args: Any

    def poll(self) -> int | None: ...


def wait_until(ready: Callable[[], bool], *processes: Started) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        dead = [server.args for server in processes if server.poll() is not None]
        if dead or time.monotonic() > deadline:
            raise RuntimeError(f"no server: {dead or 'it did not answer in time'}")
        time.sleep(0.05)


def eventually(holds: Callable[[], object], seconds: float = 90, every: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(every)
