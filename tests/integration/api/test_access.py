"""Who may ask the REST API, from which pages, how often, and whom it mails."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from inktally import keys
from inktally.errors import BadSettings
from inktally.intake.web import new_id
from inktally.mail.optin import Ask
from tests.support.apis import KEY, NO_WAIT, PICTURE, PNG, RunningApi, api_settings, is_problem, running_api
from web.api.access import Keys, Rates
from web.mailing import of as mailing_of
from web.refused import Refused


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
