"""Whatever is asked of the site in a wrong way is answered with a page that says what to do."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from httpx import Response

from inktally import errors
from inktally.mail.letters import ADVICE
from inktally.settings import Settings
from tests.support.apis import serving
from web.app import create_app
from web.site import wording
from web.site.pages import told

HTML = {"accept": "text/html"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {name: tmp_path / name for name in ("scratch", "cache")}
    return Settings(store=str(tmp_path / "store"), mail_folder=str(tmp_path / "mail"), **folders, _env_file=None)


@pytest.fixture
def browser(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings)
    with TestClient(app, headers=HTML, follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


def headline(answer: Response) -> str:
    assert answer.headers["content-security-policy"]
    found = re.search("<h1>(.*?)</h1>", answer.text)
    assert found, answer.text
    return unescape(found[1])


def form_of(browser: TestClient) -> str:
    found = re.search(r'name="form" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    return found[1]


def test_more_files_than_are_taken_are_no_fault_of_ours(browser: TestClient) -> None:
    files = [("pictures", (f"{number}.png", b"x")) for number in range(21)]
    answer = browser.post("/uploads", data={"form": form_of(browser)}, files=files)
    assert (answer.status_code, headline(answer)) == (400, "This cannot be understood.")
    assert "fewer pictures" in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/uploads/x/" + "9" * 5000, "/uploads/x/one", "/uploads/x/1/pages/-1"])
def test_where_nothing_is_there_is_nothing(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert (answer.status_code, headline(answer)) == (404, "There is nothing here.")


def test_a_method_that_is_not_possible_is_no_fault_of_ours(browser: TestClient) -> None:
    answer = browser.delete("/")
    assert (answer.status_code, headline(answer), answer.headers["allow"]) == (405, "There is nothing here.", "GET")


def test_what_nobody_has_thought_of_is_a_page_too(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.site.sending.grants.offered_languages", lambda _: 1 / 0)
    answer = browser.get("/")
    assert (answer.status_code, headline(answer)) == (500, "Something went wrong on our side.")


def test_letters_that_cannot_be_are_a_form_that_is_not_ours(browser: TestClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="form"\r\n\r\n\\ud800\r\n--x--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    answer = browser.post("/uploads", content=body, headers=headers)
    assert (answer.status_code, headline(answer)) == (403, "This form has grown old.")
    assert browser.post("/address/forget", content=body, headers=headers).status_code in {400, 403}


def test_links_to_other_languages_never_lead_elsewhere(browser: TestClient) -> None:
    answer = browser.get(httpx.URL("http://testserver", raw_path=b"//evil.example/x"))
    assert answer.status_code == 404
    assert re.findall(r'href="([^"]*language=[^"]*)"', answer.text) == ["?language=de"]


def test_a_refused_form_in_another_language_begins_anew(browser: TestClient) -> None:
    answer = browser.get("/uploads?language=de")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?language=de")
    assert "Wörter eines Bildes zählen" in browser.get(answer.headers["location"]).text


def test_head_is_answered_as_get_without_the_body(settings: Settings) -> None:
    with serving(create_app(settings)) as port:
        page = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HTML)
        for path in ("/", "/nothing", "/static/site.css", "/api/openapi.json"):
            asked, got = page.head(path), page.get(path)
            assert (asked.status_code, asked.content) == (got.status_code, b"")
            assert asked.headers["content-type"] == got.headers["content-type"]
        assert page.head("/uploads/x/events").status_code == 405
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda: line.recv(4096), b"")).endswith(b"\r\n\r\n")


def test_every_error_that_is_told_says_what_to_do_in_german_and_nothing_in_english() -> None:
    for kind in wording.HEADLINES:
        shown = told(kind, "An English sentence.", "de")
        assert issubclass(errors.error_named(kind), errors.InktallyError)
        assert shown["headline"] != wording.HEADLINES[kind]
        assert shown["advice"] not in {"", ADVICE.get(kind), wording.WHAT_TO_DO.get(kind)}
        assert shown["detail"] == ""
        assert told(kind, "An English sentence.", "en")["detail"] == "An English sentence."
