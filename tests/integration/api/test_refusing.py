"""What the REST API refuses: no pictures, large ones, slow ones, too many, and links that it may not follow."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.apis import (
    KEY,
    NO_WAIT,
    PICTURE,
    PNG,
    RunningApi,
    api_settings,
    is_problem,
    running_api,
)
from web.uploads import bodies, places


@contextmanager
def slow_bodies(running: RunningApi, number: int, media_type: str) -> Iterator[list[socket.socket]]:
    """Pictures that begin, and of which nothing more arrives."""
    url = httpx.URL(running.url)
    head = (
        f"POST /api/ocr HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {media_type}\r\n"
    )
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection((url.host, url.port or 0))) for _ in range(number)]
        for each in opened:
            each.sendall(f"{head}Content-Length: 100\r\n\r\n".encode())
        yield opened


class TestRefusing:
    @pytest.mark.parametrize(
        ("content", "status", "kind"),
        [
            (b"", 422, "EmptyPicture"),
            (b"hello", 422, "NotAPicture"),
            (b"PK\x03\x04", 415, "UnsupportedFormat"),
            (PICTURE + b" " * 10_000, 413, "TooLarge"),
        ],
    )
    def test_what_is_no_picture_is_told_at_once(self, api: RunningApi, content: bytes, status: int, kind: str) -> None:
        answer = api.http.post("/ocr", content=content, headers=PNG)
        assert is_problem(answer, status, kind)
        assert answer.json()["advice"]

    def test_a_body_without_a_length_is_bounded_while_it_comes(self, api: RunningApi) -> None:
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(10_000):
                sent += 1000
                yield b"x" * 1000

        try:
            answer = api.http.post("/ocr", content=endless(), headers=PNG)
            assert is_problem(answer, 413, "TooLarge")
        except httpx.WriteError:  # the server has closed before we had said all
            pass
        assert sent < 10_000_000

    @pytest.mark.parametrize("media_type", ["image/png", "multipart/form-data; boundary=x", "application/json"])
    def test_a_body_that_does_not_arrive_is_not_waited_for(
        self, unread: RunningApi, monkeypatch: pytest.MonkeyPatch, media_type: str
    ) -> None:
        monkeypatch.setattr(bodies, "FIRST_SECONDS", 0.3)
        with slow_bodies(unread, 1, media_type) as (slow,):
            slow.settimeout(10)
            answer = slow.recv(2000)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"problem:too-slow" in answer + slow.recv(2000)

    def test_slow_bodies_of_one_client_do_not_stop_the_others(self, tmp_path: Path) -> None:
        theirs = "another key of theirs"
        with running_api(api_settings(tmp_path, api_keys=f"{KEY},{theirs}"), reads=False) as running:
            headers = PNG | NO_WAIT | {"Authorization": f"Bearer {theirs}"}
            with slow_bodies(running, 2 * places.OF_ONE_CLIENT, "image/png"):
                assert running.http.post("/ocr", content=PICTURE, headers=headers, timeout=5).status_code == 202

    @pytest.mark.parametrize("media_type", ["text/html", "application/x-www-form-urlencoded", "", "imagine/png"])
    def test_another_type_of_body_is_told_what_is_wanted(self, api: RunningApi, media_type: str) -> None:
        answer = api.http.post("/ocr", content=PICTURE, headers={"Content-Type": media_type})
        assert is_problem(answer, 415)
        assert "multipart/form-data" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "asked",
        [
            {"language": "+"}, {"language": "auto+eng"}, {"language": "x" * 101}, {"outputs": "gold"},
            {"min_confidence": "101"}, {"min_confidence": "nan"}, {"colour": "red"}, {"email": "nobody"},
        ],
    )  # fmt: skip
    def test_what_cannot_be_asked_is_told(self, api: RunningApi, asked: dict[str, str]) -> None:
        assert is_problem(api.http.post("/ocr", content=PICTURE, headers=PNG, params=asked), 422)
        assert is_problem(api.http.post("/ocr", files={"file": ("a.png", PICTURE)}, data=asked), 422)

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"{}", b'{"url": 1}', b"[" * 60_000, b'{"url": "http://x.y/", "x": 1}', b"\xff"]
    )
    def test_json_that_is_no_link_is_told(self, api: RunningApi, body: bytes) -> None:
        answer = api.http.post("/ocr", content=body, headers={"Content-Type": "application/json"})
        assert is_problem(answer, 422, "BadRequest")

    @pytest.mark.parametrize("link", ["http://127.0.0.1/a.png", "http://169.254.169.254/", "file:///etc/passwd", ""])
    def test_a_link_to_a_private_place_is_refused(self, api: RunningApi, link: str) -> None:
        assert is_problem(api.http.post("/ocr", json={"url": link}), 422, "BadLink")

    def test_links_can_be_turned_off(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, link_seconds=0), reads=False) as running:
            answer = running.http.post("/ocr", json={"url": "https://example.org/a.png"})
            assert is_problem(answer, 422, "BadLink")

    @pytest.mark.parametrize(
        ("files", "status"),
        [
            ([("picture", ("a.png", PICTURE))], 422),
            ([("file", ("a.png", PICTURE)), ("file", ("b.png", PICTURE))], 400),
        ],
    )
    def test_a_form_has_one_file(self, api: RunningApi, files: Any, status: int) -> None:
        assert is_problem(api.http.post("/ocr", files=files), status)

    @pytest.mark.parametrize("head", ["multipart/form-data", "multipart/form-data; boundary=x"])
    def test_a_form_that_is_none_is_told(self, api: RunningApi, head: str) -> None:
        assert is_problem(api.http.post("/ocr", content=b"no form", headers={"Content-Type": head}), 400, "BadForm")

    @pytest.mark.parametrize("path", ["/", "/nothing", "/uploads", "/uploads/", "/uploads/x/y/z", "/%2e%2e/etc"])
    def test_other_addresses_are_problems(self, api: RunningApi, path: str) -> None:
        assert is_problem(api.http.get(f"{api.url}{path}"), 404)

    def test_other_methods_are_problems_that_name_the_right_ones(self, api: RunningApi) -> None:
        answer = api.http.get("/ocr")
        assert is_problem(answer, 405)
        assert answer.headers["allow"] == "POST"

    def test_a_store_that_is_away_tells_nothing_of_itself(self, tmp_path: Path) -> None:
        (tmp_path / "store").write_text("a file, no folder")
        with running_api(api_settings(tmp_path), reads=False) as running:
            answer = running.http.post("/ocr", content=PICTURE, headers=PNG)
            assert is_problem(answer, 500)
            assert str(tmp_path) not in answer.text

    def test_too_many_at_once_are_asked_to_come_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "PLACE_SECONDS", 1.0)
        with running_api(api_settings(tmp_path, api_uploads_at_once=1), reads=False) as running:
            with slow_bodies(running, 1, "image/png"):
                answer, end = running.http.get("/uploads/x"), time.monotonic() + 20
                while answer.status_code != 503 and time.monotonic() < end:  # until the slow one has its place
                    answer = running.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT)
                assert is_problem(answer, 503, "Busy")
                assert int(answer.headers["retry-after"]) > 0
            assert running.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).status_code == 202

    def test_a_client_that_sends_too_much_is_slowed_down(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, api_uploads_per_minute=2), reads=False) as running:
            answers = [running.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [202, 202, 429]
            assert is_problem(answers[2], 429, "TooMany")
            assert 0 < int(answers[2].headers["retry-after"]) <= 31
