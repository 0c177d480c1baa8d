"""The REST API for tests: the real application behind a real HTTP server, over a folder store."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from inktally import plugins
from inktally.intake.links import Policy
from inktally.ports import Store
from inktally.settings import Settings, read_settings
from tests.support.readers import answering, picture_of
from tests.support.waiting import wait_until
from web.api.app import create_api
from web.serving import server_config

KEY = "a key that nobody guesses"


@dataclass
class RunningApi:
    """An API at work: a client of it that shows the key, its store, and its settings."""

    http: httpx.Client
    store: Store
    settings: Settings
    url: str


def api_settings(folder: Path, **changes: object) -> Settings:
    folders = {"store": str(folder / "store"), "scratch": folder, "cache": folder, "mail_folder": str(folder / "mail")}
    facts = {**folders, "api_keys": KEY, "api_wait_seconds": 10, **changes}
    return read_settings(_env_file=None, **facts)


@contextmanager
def running_api(settings: Settings, policy: Policy | None = None, *, reads: bool = True) -> Iterator[RunningApi]:
    """`reads`: whether pictures are answered, by runs in this process."""
    store = plugins.store(settings.store, settings)
    site = FastAPI(openapi_url=None)
    site.mount("/api", create_api(settings, store, policy))
    with ExitStack() as stack:
        if reads:
            stack.enter_context(answering(store, settings))
        port = stack.enter_context(serving(site))
        url = f"http://127.0.0.1:{port}/api"
        headers = {"Authorization": f"Bearer {settings.api_keys.get_secret_value().partition(',')[0]}"}
        http = stack.enter_context(httpx.Client(base_url=url, timeout=30, headers=headers))
        yield RunningApi(http, store, settings, url)


@contextmanager
def serving(app: FastAPI, settings: Settings | None = None) -> Iterator[int]:
    """The port of a real HTTP server in a thread."""
    limits = settings or Settings(_env_file=None)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(server_config(app, limits, "127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


PICTURE = picture_of("The owl and the pussycat")

PNG = {"Content-Type": "image/png"}

NO_WAIT = {"Prefer": "respond-async"}


def is_problem(answer: httpx.Response, status: int, kind: str = "") -> bool:
    told = answer.json()
    fits = (answer.status_code, told["status"], told["title"]) == (status, status, answer.reason_phrase)
    of_kind = not kind or told["kind"] == kind
    return fits and of_kind and bool(told["detail"]) and answer.headers["content-type"] == "application/problem+json"


def counted(answer: httpx.Response) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {entry["word"]: entry["count"] for entry in answer.json()["counts"]["words"]}
