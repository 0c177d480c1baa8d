"""Pictures that take their steps together: what befalls one of them, or all of them between two steps."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

import pytest

from tests.support.machine import LONGEST_RUN, Machine, Started, draw
from tests.support.proxy import Fate, owner_of, proxied
from tests.support.servers import S3Server

LEASE_SECONDS = 2
RUN = """
import json, sys
from flows.ocr_flow import ocr_flow
print(ocr_flow([{"key": f"input/{name}.png"} for name in "abc"], return_state=True).name)
"""
AFTER_A_MINUTE = """
from inktally.stores.s3.recent import Recent
Recent.get = lambda recent, key: None  # what is held has grown too old: each step fetches it again
"""


@dataclass
class Group:
    """Three pictures in a bucket whose way to it is watched: what is to happen at which request, and how often."""

    machine: Machine
    server: S3Server
    bucket: str
    contents: dict[str, str] = field(default_factory=dict)
    """Of each picture, the SHA-256 of its bytes."""
    fails: dict[str, tuple[Fate | HTTPStatus, int]] = field(default_factory=dict)
    """Requests, as a pattern, that fail in this way so many times."""
    signals: dict[str, tuple[signal.Signals, int]] = field(default_factory=dict)
    """Requests, as a pattern, of which the one of this number gets its sender a signal when it has been served."""

    def meddle(self, request: BaseHTTPRequestHandler) -> Fate | HTTPStatus | None:
        for pattern, (fate, left) in self.fails.items():
            if left and re.search(pattern, f"{request.command} {request.path}"):
                self.fails[pattern] = fate, left - 1
                return fate
        return None

    def witness(self, request: BaseHTTPRequestHandler, _status: int) -> None:
        for pattern, (sent, left) in self.signals.items():
            if re.search(pattern, f"{request.command} {request.path}"):
                self.signals[pattern] = sent, left - 1
                sender = owner_of(request.client_address[1])
                if left == 1 and sender is not None:
                    os.kill(sender, sent)

    def begin(self) -> Started:
        """A run of the flow on the three, as a child of ours."""
        return self.machine.start(cold=True)

    def run(self) -> str:
        """The name of the run's last state; empty when it was killed."""
        return self.machine.run().stdout.strip()

    @property
    def told(self) -> list[str]:
        """Who has got an answer, once for each."""
        mails = [mail for mail in self.machine.mails() if ".delayed@" not in mail["Message-ID"]]
        return sorted(mail["To"].partition("@")[0] for mail in mails)

    @property
    def waiting(self) -> list[str]:
        found = self.server.client.list_objects_v2(Bucket=self.bucket, Prefix="input/")
        return [entry["Key"] for entry in found.get("Contents", [])]


def state_of(run: Started) -> str:
    said, _ = run.communicate(timeout=LONGEST_RUN)
    return said.strip()


@pytest.fixture
def group(s3: S3Server, request: pytest.FixtureRequest) -> Iterator[Group]:
    machine: Machine = request.getfixturevalue("connected")  # after the server, whose credentials it inherits
    made = Group(machine, s3, s3.new_bucket(versioned=True))
    for name in "abc":
        content = draw(machine.folder / "drawn.png", f"word {name}").read_bytes()
        made.contents[name], to = hashlib.sha256(content).hexdigest(), {"email": f"{name}@example.org"}
        s3.client.put_object(Bucket=made.bucket, Key=f"input/{name}.png", Body=content, Metadata=to)
    with proxied(s3.endpoint, made.meddle, made.witness) as endpoint:
        machine.environment |= {
            "INKTALLY_STORE": f"s3://{made.bucket}",
            "INKTALLY_S3_ENDPOINT": endpoint,
            "INKTALLY_LEASE_SECONDS": str(LEASE_SECONDS),
            "INKTALLY_AFTER": "delete",
            "INKTALLY_CACHE": str(machine.folder / "cache"),
        }
        machine.command = (sys.executable, "-c", RUN)
        yield made


def test_those_that_cannot_be_counted_or_published_are_not_told_and_stop_no_other(group: Group) -> None:
    group.machine.command = (sys.executable, "-c", AFTER_A_MINUTE + RUN)
    group.fails = {
        r"PUT .*/output/word_counts/b\.png": (HTTPStatus.FORBIDDEN, 1),
        rf"GET .*/recognitions/{group.contents['c']}/[^.]*\.json": (HTTPStatus.NOT_FOUND, 3),
    }
    assert group.run() == "Failed"
    assert (group.told, group.waiting) == (["a"], ["input/b.png", "input/c.png"])
    assert [left for _, left in group.fails.values()] == [0, 0]
    assert group.run() == "Completed"
    assert (group.told, group.waiting) == (["a", "b", "c"], [])
    assert group.machine.recognitions() == 3


@pytest.mark.long
def test_a_run_that_is_killed_between_two_mails_is_taken_up_where_it_was(group: Group) -> None:
    group.signals = {r"PUT .*/state/.*/mailed": (signal.SIGKILL, 2)}
    assert group.run() == ""
    assert (len(group.told), len(group.waiting)) == (2, 3)
    time.sleep(LEASE_SECONDS)
    group.fails = {r"PUT .*/output/word_counts/b\.png": (Fate.RESET, 4)}  # one more than the client tries by itself
    assert group.run() == "Completed"
    assert (group.told, group.waiting) == (["a", "b", "c"], [])
    assert group.machine.recognitions() == 3
    assert group.fails.popitem()[1][1] == 0


@pytest.mark.long
def test_a_run_that_was_stopped_for_long_answers_nobody_whom_another_has_answered(group: Group) -> None:
    group.signals = {r"PUT .*/output/word_counts/": (signal.SIGSTOP, 2)}
    stopped = group.begin()
    os.waitpid(stopped.pid, os.WUNTRACED)
    time.sleep(LEASE_SECONDS)
    assert group.run() == "Completed"
    assert (group.told, group.waiting) == (["a", "b", "c"], [])
    stopped.send_signal(signal.SIGCONT)
    assert state_of(stopped) == "NothingToDo"
    assert (group.told, group.machine.recognitions()) == (["a", "b", "c"], 3)
