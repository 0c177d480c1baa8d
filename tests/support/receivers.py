"""A receiver for tests: the real application behind a real HTTP server, with runs that are only written down."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from inktally.delivery import Upload
from inktally.errors import RunsDown
from inktally.intake.events import Arrival
from inktally.settings import Settings
from tests.support.forks import Forks
from tests.support.messages import TOPIC, Message, OwnSns
from tests.support.prefect_servers import PrefectServer
from tests.support.servers import answers, free_port
from tests.support.waiting import wait_until
from web.hooks.receiver import create_app
from web.serving import server_config


@dataclass
class Recorder:
    """Runs that are only written down; while `away`, none can be started."""

    away: bool = False
    batches: list[list[Arrival]] = field(default_factory=list)

    async def announce(self, arrivals: Sequence[Arrival]) -> None:
        if self.away:
            raise RunsDown("away")
        self.batches.append(list(arrivals))

    async def is_reachable(self) -> bool:
        return not self.away

    @property
    def uploads(self) -> list[Upload]:
        return [each.upload for batch in self.batches for each in batch]

    def soon(self, number: int) -> list[Upload]:
        """The uploads, once there are so many."""
        deadline = time.monotonic() + 5
        while len(self.uploads) < number and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.uploads


@dataclass
class Running:
    """A receiver at work: a client of it, its runs, and the SNS it knows."""

    http: httpx.Client
    port: int
    runs: Recorder
    sns: OwnSns

    def metric(self, name: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


@contextmanager
def running_receiver(
    settings: Settings, runs: Recorder | None = None, own_sns: OwnSns | None = None
) -> Iterator[Running]:
    runs, own_sns = runs or Recorder(), own_sns or OwnSns()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Recorder]:
        yield runs

    app = create_app(settings, opened, transport=own_sns.transport)
    # asyncio turns on TCP_NODELAY only where the protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(server_config(app, settings, settings.web_host, settings.web_port))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
                yield Running(http, port, runs, own_sns)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def running_web(prefect: PrefectServer, folder: Path, forks: Forks) -> Iterator[httpx.Client]:
    """The command `python -m web` at work, and a client of it."""
    port = free_port()
    settings = {"INKTALLY_WEB_PORT": str(port), "INKTALLY_DEAD_LETTERS": str(folder / "dead letters")}
    environment = {**prefect.environment, **settings}
    server, address = forks.start(["-m", "web"], environment, log=folder / "web.log"), f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{address}/healthz"), server)
        with httpx.Client(base_url=address, timeout=10) as client:
            yield client
        server.terminate()
        server.wait(10)
    finally:
        server.kill()


SECRET = "a secret for one test: ü + 1"

HOOK = "/hooks/s3"


def settings_for(folder: Path, **others: Any) -> Settings:
    given_settings: dict[str, Any] = {
        "hook_secret": SecretStr(SECRET),
        "sns_topics": f"{TOPIC}, arn:aws:sns:eu-central-1:111122223333:others",
        "dead_letters": folder / "dead letters",
        "hook_window_seconds": 0.05,
    }
    return Settings(_env_file=None, **(given_settings | others))


def post(receiver: Running, message: Message | bytes, **headers: str) -> httpx.Response:
    """As somebody who knows the secret."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return receiver.http.post(HOOK, content=body, headers={"X-Inktally-Secret": SECRET.encode(), **headers})  # type: ignore[arg-type]
