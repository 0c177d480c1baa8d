"""Failures of runs reach a person through the automations of this repository."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Failed

from tests.support.forks import Forks
from tests.support.machine import QUIET
from tests.support.waiting import eventually

REGISTER = ["-m", "deployments.automations", "custom-webhook/inbox"]


class Inbox(ThreadingHTTPServer):
    """Where notifications arrive."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), Message)


class Message(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        self.server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@flow(name="ocr-flow")
def a_flow() -> None:
    return None


def test_failed_and_crashed_runs_are_told_to_the_block_that_was_named(
    prefect_server: str, inbox: Inbox, forks: Forks
) -> None:
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        url = f"http://127.0.0.1:{inbox.server_port}/"
        block = CustomWebhookNotificationBlock(name="inbox", url=url, json_data={"text": "{{subject}} {{body}}"})
        block.save("inbox", overwrite=True)
        environment = {"PREFECT_API_URL": prefect_server, "PATH": "/usr/bin:/bin", **QUIET}
        subprocess.run([sys.executable, *REGISTER], check=True, env=environment, capture_output=True)
        forks.run(REGISTER, environment)
        with get_client(sync_client=True) as client:
            assert sum(found.name.startswith("Inktally: ") for found in client.read_automations()) == 5
            for state in (Failed(message="the disk is full"), Crashed(message="it was killed")):
                run = client.create_flow_run(a_flow, tags=["inktally"])
                client.set_flow_run_state(run.id, state, force=True)
    eventually(lambda: len(inbox.messages) >= 2)
    told = " ".join(inbox.messages)
    assert "a run failed" in told
    assert "the disk is full" in told
    assert "a run crashed" in told
    assert "it was killed" in told
