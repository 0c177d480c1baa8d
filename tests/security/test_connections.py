"""Point 3: slow and many connections. Each server of the web withstands them itself, without a proxy before it."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message

from inktally.errors import TooSlow
from inktally.intake.web import new_id
from inktally.mail.links import Signer
from inktally.settings import Settings
from tests.support.apis import api_settings, serving
from tests.support.machine import PROJECT, environment_of_servers
from tests.support.servers import answers, free_port, process
from tests.support.waiting import wait_until
from web import connections
from web.app import create_app
from web.command import ALIKE
from web.site.following import STREAMS_OF_ONE
from web.uploads import bodies

MANY = 1100  # more than the 1,024 files that most systems let a process open
SECONDS = 2.0  # for the answer to an honest request meanwhile
SECRET = "a secret that is long enough for this"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BUSY = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF_A_BODY = (
    b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Content-Length: 1000\r\n\r\n--x\r\n"
)


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@dataclass
class Site:
    """The command `python -m web.site`, with as many files as a shell gives it."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> float:
        """Seconds until the answer to a new connection."""
        begun = time.monotonic()
        assert httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=20).status_code == 200
        return time.monotonic() - begun


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    names = {"STORE": "store", "MAIL_FOLDER": "mail", "CACHE": "cache", "SCRATCH": "."}
    own = {f"INKTALLY_{name}": folder / place for name, place in names.items()}
    environment = environment_of_servers(**own, INKTALLY_SITE_PORT=str(port), PYTHONPATH=PROJECT)
    command = ["sh", "-c", f"ulimit -Sn 1024; exec {sys.executable} -m web.site"]
    with process(command, folder / "log", environment) as started:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), started)
        yield Site(port, folder / "log", started)


@contextmanager
def opened(port: int, sent: Sequence[bytes], source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """A connection for each beginning of a request."""
    with ExitStack() as stack:
        made = []
        for beginning in sent:
            line = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
            made.append(stack.enter_context(line))
            with suppress(ConnectionError):
                line.sendall(beginning)
        yield made


@pytest.mark.parametrize("half", [HALF_A_HEAD, HALF_A_BODY, b""], ids=["heads", "bodies", "nothing"])
def test_a_thousand_half_sent_requests_hold_nobody_up(site: Site, half: bytes) -> None:
    for path in ("/", "/healthz"):
        site.get(path)
    with opened(site.port, [half] * MANY):
        taken = [site.get(path) for path in ("/healthz", "/") for _ in range(3)]
    assert max(taken) < SECONDS


def test_a_server_without_files_left_says_so_a_few_times_and_recovers(site: Site) -> None:
    here = psutil.Process(site.process.pid)
    before = here.rlimit(resource.RLIMIT_NOFILE)
    begun = site.log.stat().st_size
    here.rlimit(resource.RLIMIT_NOFILE, (here.num_fds() + 2, before[1]))
    try:
        with opened(site.port, [HALF_A_HEAD] * 50):
            time.sleep(2.5)
    finally:
        here.rlimit(resource.RLIMIT_NOFILE, before)
    told = site.log.read_bytes()[begun:]
    assert 1 <= told.count(b"out of system resource") <= 3 * ALIKE  # the message, and its traceback
    wait_until(lambda: site.get("/healthz") < SECONDS)


def is_closed(line: socket.socket, seconds: float, trickle: bytes = b"") -> bool:
    """Whether the server ends a connection within the time, though a byte comes now and then."""
    end = time.monotonic() + seconds
    line.settimeout(0.1)
    while time.monotonic() < end:
        try:
            if trickle:
                line.sendall(trickle)
            if not line.recv(65536):
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


class TestOneConnection:
    """What a client may not let wait, with shorter deadlines."""

    @pytest.fixture
    def port(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
        monkeypatch.setattr(connections, "CLIENT_SECONDS", 1.0)
        app = FastAPI()

        @app.get("/large")
        async def large() -> StreamingResponse:
            async def endless() -> AsyncIterator[bytes]:
                while True:
                    yield b"x" * 1_000_000
                    await asyncio.sleep(0)  # or nobody could tell it that the client has gone

            return StreamingResponse(endless())

        @app.get("/small")
        async def small() -> str:
            return "small"

        with serving(app) as port:
            yield port

    @pytest.mark.parametrize(
        ("sent", "trickle"),
        [
            (b"", b""),
            (HALF_A_HEAD, b""),
            (HALF_A_HEAD, b"x"),
            (b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\nGET /", b"x"),
            (b"GET /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x"),
            (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        ],
        ids=["nothing", "half a head", "byte by byte", "half a second head", "a body nobody wants", "chunks"],
    )
    def test_a_head_that_does_not_come_is_waited_for_only_so_long(self, port: int, sent: bytes, trickle: bytes) -> None:
        with opened(port, [sent]) as (line,):
            assert is_closed(line, 6, trickle)

    def test_an_answer_that_is_not_read_ends(self, port: int) -> None:
        with opened(port, [b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"]) as (line,):
            time.sleep(3)
            line.settimeout(10)
            received = 0
            with suppress(ConnectionError):
                while some := line.recv(1_000_000):
                    received += len(some)
                    assert received < 100_000_000, "it goes on"

    def test_a_client_in_no_hurry_that_does_its_part_is_served(self, port: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(3):
                assert client.get("/small").status_code == 200
                time.sleep(0.7)
            with client.stream("GET", "/large") as answer:
                begun, received = time.monotonic(), 0
                for some in answer.iter_bytes(200_000):
                    received += len(some)
                    time.sleep(0.05)
                    if time.monotonic() - begun > 2.5:
                        break
                assert received > 1_000_000

    def test_a_request_to_become_a_websocket_is_an_ordinary_one(self, port: int) -> None:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        answer = httpx.get(f"http://127.0.0.1:{port}/small", headers={**upgrade, "Sec-WebSocket-Key": "eA=="})
        assert answer.status_code == 200


class TestNumbers:
    """How many connections one client and all may have."""

    @contextmanager
    def server(self, **limits: int) -> Iterator[int]:
        """What it is asked for at / takes until the client goes."""
        app = FastAPI()

        @app.get("/")
        async def held(request: Request) -> str:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return "gone"

        @app.get("/small")
        async def small() -> str:
            return "small"

        with serving(app, Settings(_env_file=None, **limits)) as port:
            yield port

    def status(self, port: int, source: str) -> int:
        transport = httpx.HTTPTransport(local_address=source)
        with httpx.Client(transport=transport, timeout=5) as client:
            return client.get(f"http://127.0.0.1:{port}/small").status_code

    def test_a_client_that_has_all_its_connections_answered_gets_no_more_and_others_do(self) -> None:
        busy = [BUSY] * 3
        with self.server(connections_per_client=3) as port:
            with opened(port, busy):
                time.sleep(0.3)
                assert (self.status(port, "127.0.0.1"), self.status(port, "127.0.0.2")) == (503, 200)
            time.sleep(0.3)
            assert self.status(port, "127.0.0.1") == 200

    def test_when_all_are_taken_the_one_that_owes_most_gives_way(self) -> None:
        with ExitStack() as stack:
            port = stack.enter_context(self.server(connections=4))
            theirs = stack.enter_context(opened(port, [BUSY, HALF_A_HEAD, HALF_A_HEAD], "127.0.0.2"))
            (other,) = stack.enter_context(opened(port, [HALF_A_HEAD], "127.0.0.3"))
            time.sleep(0.3)
            assert self.status(port, "127.0.0.4") == 200
            assert is_closed(theirs[1], 2)
            assert not any(is_closed(each, 0.2) for each in (theirs[0], theirs[2], other))

    def test_when_all_are_being_answered_a_new_one_is_told_to_come_again(self) -> None:
        busy = [BUSY] * 2
        with self.server(connections=2) as port, opened(port, busy, "127.0.0.2"):
            time.sleep(0.3)
            assert self.status(port, "127.0.0.3") == 503


def test_every_server_of_the_web_has_these_limits() -> None:
    """They are in `server_config`, and nobody else may start uvicorn."""
    found = [path for path in (PROJECT / "web").rglob("*.py") if re.search(r"uvicorn", path.read_text())]
    assert {path.name for path in found} == {"serving.py", "connections.py"}


def test_as_many_streams_are_granted_as_one_visitor_may_have(tmp_path: Path) -> None:
    settings = api_settings(tmp_path, api_keys="", site_secret=SECRET, connections_per_client=1000)
    app = create_app(settings)
    address = f"/uploads/{Signer(SECRET).sign('upload', [new_id()])}/events"
    request = f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with serving(app, settings) as port:
        with opened(port, [request] * 4 * STREAMS_OF_ONE) as lines:
            statuses = [line.recv(12)[-3:] for line in lines]
            assert (statuses.count(b"200"), statuses.count(b"503")) == (STREAMS_OF_ONE, 3 * STREAMS_OF_ONE)
            assert app.state.streams.total() == STREAMS_OF_ONE
        wait_until(lambda: not app.state.streams)
        app.state.stopping.set()


@pytest.mark.parametrize(("bytes_a_second", "arrives"), [(25_000, True), (15_000, False)])
def test_a_slow_line_may_send_a_large_picture_and_a_trickle_may_not(
    monkeypatch: pytest.MonkeyPatch, bytes_a_second: int, *, arrives: bool
) -> None:
    """50 MB over a line of 200 kbit/s take half an hour, on a clock of our own."""
    now, most = [1000.0], 50_000_000
    monkeypatch.setattr(bodies, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def receive() -> Message:
        await asyncio.sleep(0)
        now[0] += 10
        more = now[0] < 1000 + most / bytes_a_second
        return {"type": "http.request", "body": b"x" * 10 * bytes_a_second, "more_body": more}

    request = bodies.bounded(Request({"type": "http", "headers": []}, receive=receive), most)
    if arrives:
        assert len(asyncio.run(request.body())) == most
    else:
        with pytest.raises(TooSlow):
            asyncio.run(request.body())
