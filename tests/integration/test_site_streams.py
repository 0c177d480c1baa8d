"""Those who look on while pictures are read: how many, how often, and that they do not keep the site from ending."""

from __future__ import annotations

import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from inktally.intake.web import new_id
from inktally.mail.links import Signer
from inktally.settings import Settings
from tests.support.apis import serving
from tests.support.servers import answers, free_port, process
from tests.support.waiting import wait_until
from web.app import create_app
from web.site import following

SECRET = "a secret that is long enough for this"
PROJECT = Path(__file__).parents[2]


def events() -> str:
    """The address of a stream about a picture that never comes."""
    return f"/uploads/{Signer(SECRET).sign('upload', [new_id()])}/events"


def look_on(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    line.sendall(f"GET {events()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert b"200 OK" in line.recv(100)
    return line


def test_a_site_that_is_told_to_end_does_not_wait_for_those_who_look_on(tmp_path: Path) -> None:
    port = free_port()
    own = {
        "STORE": tmp_path / "store",
        "MAIL_FOLDER": tmp_path / "mail",
        "CACHE": tmp_path,
        "SCRATCH": tmp_path,
        "SITE_SECRET": SECRET,
        "SITE_PORT": port,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(f"INKTALLY_{name}", str(value))
        patch.setenv("PYTHONPATH", str(PROJECT))
        patch.chdir(tmp_path)
        with process([sys.executable, "-m", "web.site"], tmp_path / "log") as site:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), site)
            with look_on(port):
                begun = time.monotonic()
                site.send_signal(signal.SIGTERM)
                site.wait(30)
            assert time.monotonic() - begun < 5
            assert b"timeout graceful shutdown exceeded" not in (tmp_path / "log").read_bytes()


def test_one_visitor_leaves_streams_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "STREAMS_OF_ONE", 3)
    folders = {name: tmp_path / name for name in ("scratch", "cache")}
    own = {"store": str(tmp_path / "store"), "mail_folder": str(tmp_path / "mail"), "site_behind_proxy": True}
    app = create_app(Settings(site_secret=SECRET, **own, **folders, _env_file=None))
    with serving(app) as port, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(look_on(port))
        address = f"http://127.0.0.1:{port}{events()}"
        assert httpx.get(address).status_code == 503
        with httpx.stream("GET", address, headers={"X-Forwarded-For": "9.9.9.9"}) as other:
            assert other.status_code == 200
        stack.close()
        wait_until(lambda: not app.state.streams)
        app.state.stopping.set()


def test_what_never_comes_is_looked_for_less_and_less_often() -> None:
    looks = [following.pause(quiet) for quiet in (0, 10, 60, 600, 6000)]
    assert looks == [0.7, 0.7, 3.0, 10.0, 10.0]
