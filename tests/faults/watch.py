"""Sees what runs do to the store and send as mail, so that one can be killed exactly between two steps."""

from __future__ import annotations

import random
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Lock

from tests.support.mailbox import Mail
from tests.support.proxy import Fate, owner_of
from tests.support.stack import kill_run

STEPS = {
    "claimed": r"PUT /[^/]+/state/[^/]+/claim",
    "recognised": r"PUT /[^/]+/recognitions/[^/]+/[^/.]+\.json",
    "counted": r"PUT /[^/]+/recognitions/[^/]+/[^/]+\.counts\.",
    "published": r"PUT /[^/]+/output/word_counts/",
    "its mail being accepted": "MAIL",
    "mailed": r"PUT /[^/]+/state/[^/]+/mailed",
    "disposed": r"DELETE /[^/]+/input/",
    "answered": r"PUT /[^/]+/state/[^/]+/answered",
}
"""The steps of a run, and the deed that ends each: nobody has been told yet that it is done."""

TROUBLED = 0.35
"""The share of requests to a store in trouble that fail."""


class Watch:
    """Learns of runs from a proxy and a mailbox, and kills the one that has just taken the step it waits for."""

    def __init__(self) -> None:
        self.kills = 0
        self._awaited = ""
        self._killed: set[str] = set()
        self._turn = Lock()

    def has_killed_after(self, step: str) -> bool:
        """Whether it has; the first time it is asked, it begins to wait for the step."""
        self._awaited = step
        return step in self._killed

    def see_request(self, request: BaseHTTPRequestHandler, status: int) -> None:
        if status < HTTPStatus.MULTIPLE_CHOICES:
            self._see(f"{request.command} {request.path}", request.client_address[1])

    def see_mail(self, mail: Mail) -> None:
        self._see("MAIL", mail.port)

    def _see(self, deed: str, port: int) -> None:
        with self._turn:
            step = self._awaited
            if step in STEPS and step not in self._killed and re.match(STEPS[step], deed):
                doer = owner_of(port)
                if doer is not None:
                    self._killed.add(step)
                    self.kill(doer)

    def kill(self, pid: int) -> None:
        self.kills += 1
        kill_run(pid)


class StoreTrouble:
    """Lets some requests fail, in one of the ways of `fates`, while there are any."""

    def __init__(self, seed: int) -> None:
        self.fates: tuple[Fate | HTTPStatus, ...] = ()
        self.failed = 0
        self._random = random.Random(seed)  # noqa: S311

    def meddle(self, _request: BaseHTTPRequestHandler) -> Fate | HTTPStatus | None:
        fates = self.fates
        if not fates or self._random.random() >= TROUBLED:
            return None
        self.failed += 1
        return self._random.choice(fates)
