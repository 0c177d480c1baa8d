"""The REST API, asked over real HTTP, with a real folder store."""

from __future__ import annotations

import csv
import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import httpx
import pytest

from inktally import keys
from inktally.errors import BadSettings
from inktally.intake.web import new_id
from inktally.mail.optin import Ask
from tests.support.apis import KEY, RunningApi, api_settings, running_api
from tests.support.readers import BROKEN, picture_of
from web.api.access import Keys, Rates
from web.mailing import of as mailing_of
from web.refused import Refused
from web.uploads import bodies, places

PICTURE = picture_of("The owl and the pussycat")
PNG = {"Content-Type": "image/png"}
NO_WAIT = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One whose pictures are answered."""
    folder = tmp_path_factory.mktemp("api")
    with running_api(api_settings(folder, max_bytes=10_000, api_uploads_per_minute=10_000)) as running:
        yield running


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One whose pictures nobody reads."""
    folder = tmp_path_factory.mktemp("unread")
    with running_api(api_settings(folder, api_wait_seconds=0.2, api_uploads_per_minute=10_000), reads=False) as running:
        yield running


def is_problem(answer: httpx.Response, status: int, kind: str = "") -> bool:
    told = answer.json()
    fits = (answer.status_code, told["status"], told["title"]) == (status, status, answer.reason_phrase)
    of_kind = not kind or told["kind"] == kind
    return fits and of_kind and bool(told["detail"]) and answer.headers["content-type"] == "application/problem+json"


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


def counted(answer: httpx.Response) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {entry["word"]: entry["count"] for entry in answer.json()["counts"]["words"]}


class TestSending:
    @pytest.mark.parametrize("media_type", ["image/png", "image/webp", "application/octet-stream", "IMAGE/PNG; q=1"])
    def test_a_small_picture_is_answered_with_its_counts_whatever_it_is_called(
        self, api: RunningApi, media_type: str
    ) -> None:
        answer = api.http.post("/ocr", content=PICTURE, headers={"Content-Type": media_type})
        assert counted(answer) == {"the": 2, "and": 1, "owl": 1, "pussycat": 1}
        assert (answer.json()["state"], answer.json()["words"]) == ("answered", 5)
        assert answer.headers["cache-control"] == "no-store"

    def test_a_picture_in_a_form_keeps_its_name_and_its_wishes(self, api: RunningApi) -> None:
        file = {"file": ('a "b" ö 字\n.png', PICTURE)}
        answer = api.http.post("/ocr", files=file, data={"min_confidence": "95", "body_only": "true"})
        told = answer.json()["counts"]
        assert (told["min_confidence"], told["body_only"]) == (95.0, True)
        assert answer.json()["name"] == 'a "b" ö 字_.png'

    def test_a_large_picture_in_a_form_comes_through(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path), reads=False) as running:
            answer = running.http.post("/ocr", files={"file": ("a.png", PICTURE + b" " * 6_000_000)})
            assert (answer.status_code, answer.json()["size"]) == (202, len(PICTURE) + 6_000_000)

    def test_language_and_name_travel_with_the_picture(self, unread: RunningApi) -> None:
        asked = {"language": "eng + deu", "name": "../seite 1.png"}
        answer = unread.http.post("/ocr", content=PICTURE, headers=PNG, params=asked)
        told = answer.json()
        found = unread.store.stat(keys.from_web(told["id"], "seite 1.png"))
        assert (told["name"], found.metadata["language"]) == ("seite 1.png", "eng+deu")

    def test_what_is_not_answered_in_time_has_a_status(self, unread: RunningApi) -> None:
        answer = unread.http.post("/ocr", content=PICTURE, headers=PNG)
        assert (answer.status_code, answer.json()["state"]) == (202, "received")
        assert answer.headers["location"] == f"/api/uploads/{answer.json()['id']}"
        assert answer.headers["retry-after"] == "1"
        status = unread.http.get(httpx.URL(unread.url).join(answer.headers["location"]))
        assert (status.status_code, status.json()["links"]["counts"]) == (200, None)

    def test_who_prefers_not_to_wait_does_not(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path), reads=False) as running:
            begun = time.monotonic()
            assert running.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).status_code == 202
            assert running.http.post("/ocr", content=PICTURE, headers=PNG | {"Prefer": "wait=0"}).status_code == 202
            assert time.monotonic() - begun < 5

    def test_the_status_can_be_waited_for(self, api: RunningApi) -> None:
        sent = api.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).json()
        told = api.http.get(f"/uploads/{sent['id']}", headers={"Prefer": "wait=10"}).json()
        assert (told["state"], told["is_final"], told["counts"]) == ("answered", True, None)

    def test_a_picture_that_cannot_be_read_is_a_problem_that_says_what_to_do(self, api: RunningApi) -> None:
        answer = api.http.post("/ocr", content=BROKEN, headers=PNG)
        assert is_problem(answer, 422, "NotAPicture")
        told = answer.json()
        assert "upload a picture" in told["advice"]
        assert told["type"] == "urn:inktally:problem:not-a-picture"
        status = api.http.get(f"/uploads/{told['upload']}").json()
        assert (status["state"], status["problem"]["kind"], status["picture"]) == ("failed", "NotAPicture", "set aside")

    def test_the_same_key_of_idempotency_is_the_same_upload(self, api: RunningApi) -> None:
        header = {"Idempotency-Key": "order 17"}
        first, again = (api.http.post("/ocr", content=PICTURE, headers=PNG | header).json() for _ in range(2))
        other = api.http.post("/ocr", content=PICTURE, headers=PNG | {"Idempotency-Key": "order 18"}).json()
        assert first["id"] == again["id"] != other["id"]
        assert len(list(api.store.list(keys.from_web(first["id"])))) == 1

    def test_two_requests_at_once_with_the_same_key_of_idempotency_are_one_upload(self, unread: RunningApi) -> None:
        answers: list[httpx.Response] = []

        def send() -> None:
            headers = {**PNG, "Authorization": f"Bearer {KEY}", "Idempotency-Key": "at once"}
            answers.append(httpx.post(f"{unread.url}/ocr", content=PICTURE, headers=headers))

        threads = [threading.Thread(target=send) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [202] * 5
        assert len({answer.json()["id"] for answer in answers}) == 1

    def test_a_key_of_idempotency_is_one_upload_also_under_two_names_at_once(self, unread: RunningApi) -> None:
        headers = {**PNG, **NO_WAIT, "Authorization": f"Bearer {KEY}", "Idempotency-Key": "two names"}
        names = [f"{name}.png" for name in "abcd"]
        with ThreadPool(4) as pool:
            told = pool.map(
                lambda name: httpx.post(f"{unread.url}/ocr?name={name}", content=PICTURE, headers=headers).json(), names
            )
        assert len({each["id"] for each in told}) == 1
        assert len(list(unread.store.list(keys.from_web(told[0]["id"])))) == 1

    def test_another_picture_under_a_used_key_of_idempotency_is_told(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, after="delete")) as running:
            headers = PNG | {"Idempotency-Key": "1"}
            first = running.http.post("/ocr", content=PICTURE, headers=headers)
            other = running.http.post("/ocr", content=picture_of("something else"), headers=headers)
            assert is_problem(other, 422, "KeyUsed")
            by_link = {"Idempotency-Key": "1"}
            link = running.http.post("/ocr", json={"url": "https://a.example/"}, headers=by_link)
            assert is_problem(link, 422, "KeyUsed"), "the link is not even followed"
            assert running.http.post("/ocr", content=PICTURE, headers=headers).json()["id"] == first.json()["id"]


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


class TestResults:
    def test_every_output_is_there_by_its_name(self, api: RunningApi) -> None:
        outputs = "plain_text,coordinates_json,hocr,alto,coordinates_text,word_counts_csv"
        told = api.http.post("/ocr", content=PICTURE, headers=PNG, params={"outputs": outputs}).json()
        links = told["links"]["outputs"]
        assert set(links) == {*outputs.split(","), "word_counts"}
        texts = {name: api.http.get(httpx.URL(api.url).join(link)) for name, link in links.items()}
        assert texts["plain_text"].text == "The owl and the pussycat"
        assert texts["coordinates_json"].json()["words"][1]["text"] == "owl"
        assert texts["hocr"].headers["content-type"] == "text/vnd.hocr+html; charset=utf-8"
        for answer in texts.values():
            assert answer.headers["content-disposition"].startswith("attachment")
            assert "sandbox" in answer.headers["content-security-policy"]

    def test_counts_come_as_json_and_as_a_table_without_formulas(self, api: RunningApi) -> None:
        told = api.http.post("/ocr", content=picture_of("=cmd() owl owl"), headers=PNG).json()
        where = httpx.URL(api.url).join(told["links"]["counts"])
        assert api.http.get(where).json() == told["counts"]
        table = api.http.get(where, params={"format": "csv"})
        rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
        assert rows[:3] == [["word", "count", "confidence"], ["owl", "2", "90.0"], ["'=cmd()", "1", "90.0"]]
        assert table.headers["content-type"] == "text/csv; charset=utf-8"

    def test_results_that_are_not_there_yet_are_a_conflict(self, unread: RunningApi) -> None:
        told = unread.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).json()
        for what in ("counts", "outputs/plain_text"):
            answer = unread.http.get(f"/uploads/{told['id']}/{what}")
            assert is_problem(answer, 409, "NotYet")
            assert answer.headers["retry-after"] == "1"

    @pytest.mark.parametrize("what", ["", "/counts", "/outputs/plain_text"])
    @pytest.mark.parametrize("upload", ["A" * 22, "x", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 500])
    def test_an_id_that_nobody_has_is_not_found(self, api: RunningApi, upload: str, what: str) -> None:
        assert is_problem(api.http.get(f"/uploads/{upload}{what}"), 404)

    def test_an_output_that_was_not_asked_for_or_is_none_is_not_found(self, api: RunningApi) -> None:
        told = api.http.post("/ocr", content=PICTURE, headers=PNG).json()
        for name in ("pdf", "gold", "..%2Fplain_text"):
            assert is_problem(api.http.get(f"/uploads/{told['id']}/outputs/{name}"), 404)

    def test_results_outlive_the_picture(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, after="delete")) as running:
            answer = running.http.post("/ocr", content=PICTURE, headers=PNG | {"Idempotency-Key": "1"})
            assert counted(answer)["the"] == 2
            told = running.http.get(f"/uploads/{answer.json()['id']}").json()
            assert (told["picture"], told["state"]) == ("deleted", "answered")
            again = running.http.post("/ocr", content=PICTURE, headers=PNG | {"Idempotency-Key": "1"})
            assert (again.json()["id"], counted(again)["the"]) == (told["id"], 2)
            assert not list(running.store.list("input/"))


class TestAccess:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {KEY}"},
            {"X-API-Key": b"\xf6"},
            {"X-API-Key": ""},
        ],
    )
    def test_without_a_known_key_nothing_is_told(self, api: RunningApi, headers: dict[str, Any]) -> None:
        for method, path in (("POST", "/ocr"), ("GET", "/uploads/x"), ("GET", f"/uploads/{new_id()}/counts")):
            answer = httpx.request(method, f"{api.url}{path}", headers=headers)
            assert is_problem(answer, 401, "UnknownKey")
            assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_key_may_be_shown_in_a_header_of_its_own(self, api: RunningApi) -> None:
        answer = httpx.post(f"{api.url}/ocr", content=PICTURE, headers=PNG | {"X-API-Key": KEY})
        assert answer.status_code == 200

    def test_keys_may_be_set_by_their_hashes(self, tmp_path: Path) -> None:
        hashed = sha256(KEY)
        with running_api(api_settings(tmp_path, api_keys=f"another key of ours, sha256:{hashed}"), reads=False) as run:
            headers = PNG | NO_WAIT | {"X-API-Key": KEY}
            assert httpx.post(f"{run.url}/ocr", content=PICTURE, headers=headers).status_code == 202
            headers["X-API-Key"] = f"sha256:{hashed}"
            assert httpx.post(f"{run.url}/ocr", content=PICTURE, headers=headers).status_code == 401

    def test_a_key_that_could_be_guessed_is_refused_at_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(BadSettings, match="fewer than 16"):
            Keys(api_settings(tmp_path, api_keys="secret"))

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 202),
            ({"Host": "localhost:80"}, 202),
            ({"X-Forwarded-For": "203.0.113.7"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Host": ""}, 403),
        ],
    )
    def test_without_keys_only_this_machine_itself_may_ask(
        self, tmp_path: Path, headers: dict[str, str], status: int
    ) -> None:
        with running_api(api_settings(tmp_path, api_keys=""), reads=False) as running:
            answer = httpx.post(f"{running.url}/ocr", content=PICTURE, headers=PNG | NO_WAIT | headers)
            assert answer.status_code == status
            assert status == 202 or is_problem(answer, 403, "NoKeys")

    @pytest.mark.parametrize(
        "settings", [{"site_behind_proxy": True}, {"site_url": "https://words.example.org"}, {"site_url": "http://[x"}]
    )
    def test_without_keys_nobody_may_ask_where_a_proxy_may_stand_before_us(
        self, tmp_path: Path, settings: dict[str, object]
    ) -> None:
        """nginx, as it proxies by default, sends our own address as Host and nothing that would tell of it."""
        with running_api(api_settings(tmp_path, api_keys="", **settings), reads=False) as running:
            answer = httpx.post(f"{running.url}/ocr", content=PICTURE, headers=PNG | NO_WAIT | {"Connection": "close"})
            assert is_problem(answer, 403, "NoKeys")

    def test_pages_of_the_origins_that_are_set_may_call_and_no_others(self, tmp_path: Path) -> None:
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        with running_api(api_settings(tmp_path, api_origins="https://ours.example"), reads=False) as running:
            for origin, allowed in (("https://ours.example", "https://ours.example"), ("https://evil.example", None)):
                asked = httpx.options(f"{running.url}/ocr", headers={"Origin": origin, **asking})
                told = running.http.get("/uploads/x", headers={"Origin": origin})
                assert asked.headers.get("access-control-allow-origin") == allowed
                assert told.headers.get("access-control-allow-origin") == allowed

    def test_without_origins_pages_are_told_nothing(self, api: RunningApi) -> None:
        answer = api.http.get("/uploads/x", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers


class TestMailing:
    def test_nobody_is_mailed_who_has_not_confirmed_it_for_this_client(self, tmp_path: Path) -> None:
        settings = api_settings(tmp_path, api_keys=f"{KEY},another key of theirs")
        with running_api(settings, reads=False) as running:
            asked = {"params": {"email": "Anna@example.org"}, "content": PICTURE}
            first = running.http.post("/ocr", headers=PNG | NO_WAIT | {"X-API-Key": KEY}, **asked).json()
            assert (recipients(running, first["id"]), mails(tmp_path)) == ("", 1)
            assert recipients(running, self._send(running, KEY)) == ""
            assert mails(tmp_path) == 1
            confirm(running, "Anna@example.org")
            assert running.store.read(keys.due(first["id"])) == b"Anna@example.org"
            assert recipients(running, self._send(running, KEY)) == "Anna@example.org"
            assert recipients(running, self._send(running, "another key of theirs")) == ""

    def _send(self, running: RunningApi, key: str) -> str:
        headers = PNG | NO_WAIT | {"X-API-Key": key}
        asked = {"email": "Anna@example.org"}
        told = httpx.post(f"{running.url}/ocr", headers=headers, params=asked, content=PICTURE).json()
        return str(told["id"])

    def test_nobody_is_mailed_for_what_is_no_picture(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path), reads=False) as running:
            answer = running.http.post("/ocr", content=b"no", headers=PNG, params={"email": "anna@example.org"})
            assert (answer.status_code, mails(tmp_path)) == (422, 0)

    def test_results_for_one_address_are_bounded_by_day(self, tmp_path: Path) -> None:
        settings = api_settings(tmp_path, site_uploads_per_address=1)
        with running_api(settings, reads=False) as running:
            asked = {"headers": PNG | NO_WAIT, "params": {"email": "anna@example.org"}}
            for _ in range(2):
                assert running.http.post("/ocr", content=PICTURE, **asked).status_code == 202, "not confirmed yet"
            confirm(running, "anna@example.org")
            assert running.http.post("/ocr", content=PICTURE, **asked).status_code == 202
            answer = running.http.post("/ocr", content=PICTURE, **asked)
            assert is_problem(answer, 429, "QuotaUsedUp")
            assert 0 < int(answer.headers["retry-after"]) <= 24 * 60 * 60


def confirm(running: RunningApi, address: str) -> None:
    """For the client that shows the key, as following the mailed link does."""
    mailing = mailing_of(running.settings, running.store)
    mailing.optin.confirm(Ask(address=address, nonce=mailing.signer.pseudonym(f"api {sha256(KEY)}")))


def recipients(running: RunningApi, upload_id: str) -> str:
    """Whom the result of an upload goes to."""
    (found,) = running.store.list(keys.from_web(upload_id))
    return running.store.stat(found.key).metadata.get("email", "")


def mails(folder: Path) -> int:
    return len(list((folder / "mail").glob("*.eml")))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_clients_bucket_fills_again() -> None:
    clock = [0.0]
    rates = Rates(60, lambda: clock[0])
    for _ in range(60):
        rates.spend("a")
    with pytest.raises(Refused):
        rates.spend("a")
    rates.spend("b")
    clock[0] += 1
    rates.spend("a")
    with pytest.raises(Refused):
        rates.spend("a")


def test_the_document_is_openapi_3_1_and_names_its_own_place(api: RunningApi) -> None:
    document = api.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api"}]
    assert document["security"] == [{"bearer": []}, {"header": []}]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all("405" in operation["responses"] for operation in operations)
