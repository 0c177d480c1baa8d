"""What strangers send to the page, over real HTTP: bounded in size, in time, and in how much of it comes at once."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from inktally import keys
from inktally.intake.status import delivery_of
from inktally.settings import Settings
from inktally.stores.files import FilesStore
from tests.support.apis import api_settings, serving
from tests.support.readers import answer
from web.app import create_app
from web.uploads import bodies, places

PNG = b"\x89PNG\r\n\x1a\n and so on"
HEAD = (
    "POST /uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\n"
)
FORWARDED = "X-Forwarded-For"


@contextmanager
def running_site(settings: Settings) -> Iterator[httpx.Client]:
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{stack.enter_context(serving(create_app(settings)))}"
        yield stack.enter_context(httpx.Client(base_url=url, timeout=30, headers={"Accept": "text/html"}))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[httpx.Client]:
    with running_site(api_settings(tmp_path, api_keys="", site_behind_proxy=True)) as browser:
        yield browser


def leave(browser: httpx.Client, headers: dict[str, str]) -> str:
    """The address that one picture may be sent to."""
    found = re.search(r'name="form" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    told = browser.post("/uploads/grants", json={"form": found[1], "names": ["a.png"]}, headers=headers).json()
    return str(told["files"][0]["url"])


@contextmanager
def slow_forms(browser: httpx.Client, number: int, client: str) -> Iterator[list[socket.socket]]:
    """Forms that begin, and of which nothing more comes."""
    with ExitStack() as stack:
        port = browser.base_url.port or 0
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(number)]
        for each in opened:
            each.sendall(f"{HEAD}{FORWARDED}: {client}\r\n\r\n--x\r\n".encode())
        yield opened


@pytest.mark.parametrize("path", ["/confirm/nonsense", "/address/forget"])
@pytest.mark.parametrize("media_type", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_small_form_is_not_read_beyond_what_it_can_have(site: httpx.Client, path: str, media_type: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="form"; filename="a"\r\n\r\n'
        for _ in range(1000):
            sent += 100_000
            yield b"x" * 100_000

    with suppress(httpx.WriteError):  # the server has closed before we had said all
        assert site.post(path, content=endless(), headers={"Content-Type": media_type}).status_code == 413
    assert sent < 20_000_000


def test_a_form_that_does_not_come_is_not_waited_for(site: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "FIRST_SECONDS", 0.3)
    with slow_forms(site, 1, "1.1.1.1") as (slow,):
        slow.settimeout(10)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_slow_forms_of_one_client_do_not_stop_the_others(site: httpx.Client) -> None:
    url = leave(site, {FORWARDED: "2.2.2.2"})
    with slow_forms(site, 2 * places.BODIES_AT_ONCE, "1.1.1.1"):
        assert site.put(url, content=PNG, headers={FORWARDED: "2.2.2.2"}, timeout=5).status_code == 201


def test_one_client_may_send_a_few_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "FIRST_SECONDS", 1.5)
    with running_site(api_settings(tmp_path, api_keys="")) as browser:
        url = leave(browser, {})
        with slow_forms(browser, places.OF_ONE_CLIENT, "") as (slow, *_):
            slow.settimeout(10)
            assert browser.put(url, content=PNG, timeout=10).status_code == 201, "once the slow ones are given up"
            assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_leave_to_send_a_picture_is_used_up_for_good(site: httpx.Client, tmp_path: Path) -> None:
    url = leave(site, {})
    assert site.put(url, content=PNG).status_code == 201
    store, settings = FilesStore(tmp_path / "store"), Settings(after="delete", _env_file=None)
    (found,) = store.list(keys.FROM_WEB)
    answer(store, delivery_of(store, keys.web_upload_of(found.key)), settings)
    assert not list(store.list(keys.INPUT))
    again = site.put(url, content=PNG, headers={"Accept": "application/json"})
    assert (again.status_code, again.json()["headline"]) == (409, "This picture has come already.")
    assert not list(store.list(keys.INPUT))
