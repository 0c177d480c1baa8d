"""The site's answers to browsers, and to those who only pretend to be one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from email import message_from_bytes
from email.policy import default
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from fastapi.testclient import TestClient
from httpx import Response
from pydantic import ValidationError
from starlette.requests import Request

from inktally import keys
from inktally.delivery import Outcome, Problem
from inktally.document import CountsDocument
from inktally.errors import LinkExpired
from inktally.intake.status import delivery_of, output_of
from inktally.intake.web import receive
from inktally.mail.letters import ADVICE, OUR_ADVICE
from inktally.mail.links import Signer
from inktally.mail.optin import new_ask
from inktally.plugins import notifier
from inktally.settings import Settings
from inktally.steps import announcing, markers
from inktally.stores.files import FilesStore
from tests.support.paper import picture
from tests.support.readers import answer, picture_of
from tests.support.waiting import wait_until
from web.app import create_app
from web.site.translations import LANGUAGES, negotiated, translations
from web.site.visitors import ADDRESS, visitor_of

SITE = Path(__file__).parents[2] / "web" / "site"
SECRET = "a secret that is long enough for this"
HTML = {"accept": "text/html"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        store=str(tmp_path / "store"),
        scratch=tmp_path / "scratch",
        cache=tmp_path / "cache",
        mail_folder=str(tmp_path / "mail"),
        site_secret=SECRET,
        site_uploads_per_client=5,
        max_bytes=100_000,
        _env_file=None,
    )


@pytest.fixture
def browser(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), headers=HTML, follow_redirects=False) as client:
        yield client


def png() -> bytes:
    content = BytesIO()
    picture().save(content, "PNG")
    return content.getvalue()


def form_of(browser: TestClient) -> str:
    found = re.search(r'name="form" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    return found[1]


def ask(browser: TestClient, *names: str, **others: object) -> Response:
    asked = {"form": form_of(browser), "names": list(names), **others}
    return browser.post("/uploads/grants", json=asked, headers={"accept": "application/json"})


def stored(settings: Settings, below: str = keys.FROM_WEB) -> list[Path]:
    return [path for path in (Path(settings.store) / below).rglob("*") if path.is_file()]


def test_a_picture_goes_to_the_address_that_was_signed_for_it_once(browser: TestClient, settings: Settings) -> None:
    leave = ask(browser, "a & “b”.png").json()
    url = leave["files"][0]["url"]
    assert browser.put(url, content=png()).status_code == 201
    assert browser.put(url, content=png()).status_code == 409
    assert browser.put(url[:-2] + "xx", content=png()).status_code == 404
    assert [path.name for path in stored(settings)] == ["a & “b”.png"]
    assert "a &amp; “b”.png" in browser.get(leave["page"]).text


def test_a_body_that_is_too_large_is_stopped_while_it_comes(browser: TestClient, settings: Settings) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    answer = browser.put(ask(browser, "a.png").json()["files"][0]["url"], content=endless())
    assert answer.status_code == 413
    assert "too large" in answer.text
    assert not stored(settings)
    form = {"form": form_of(browser)}
    answer = browser.post("/uploads", data=form, files={"pictures": ("a.png", b"x" * 2_000_000)})
    assert answer.status_code == 413


def test_the_form_works_without_javascript(browser: TestClient, settings: Settings) -> None:
    files = [("pictures", ("a.png", png())), ("pictures", ("b.png", png()))]
    answer = browser.post("/uploads", data={"form": form_of(browser), "language": "deu"}, files=files)
    assert answer.status_code == 303
    assert sorted(path.name for path in stored(settings)) == ["a.png", "b.png"]
    assert browser.get(answer.headers["location"]).text.count('<article id="upload-') == 2


def test_an_address_that_is_not_confirmed_travels_with_no_picture(browser: TestClient, settings: Settings) -> None:
    ask(browser, "a.png", email="anna@example.org")
    url = ask(browser, "b.png", email="anna@example.org").json()["files"][0]["url"]
    browser.put(url, content=png())
    assert not any("anna" in path.read_text() for path in stored(settings, ".inktally/meta"))
    assert len(list(Path(settings.mail_folder).iterdir())) == 1


def test_a_form_of_another_site_or_another_browser_is_refused(browser: TestClient, settings: Settings) -> None:
    with TestClient(create_app(settings), headers=HTML) as other:
        foreign = form_of(other)
    assert browser.post("/uploads/grants", json={"form": foreign, "names": ["a.png"]}).status_code == 403
    assert browser.post("/uploads/grants", json={"form": "", "names": ["a.png"]}).status_code == 403
    assert browser.post("/address/forget", data={"form": foreign}).status_code == 403


def test_one_visitor_may_send_so_many_a_day(browser: TestClient) -> None:
    assert ask(browser, *["a.png"] * 5).status_code == 200
    answer = ask(browser, "a.png")
    assert answer.status_code == 429
    assert "tomorrow" in answer.text


def test_a_language_that_is_not_offered_is_refused(browser: TestClient) -> None:
    assert ask(browser, "a.png", language="eng+xxx").status_code == 422


@pytest.mark.parametrize(
    ("usual", "says"),
    [("eng+deu", "English, German"), ("frk", "German in Fraktur"), ("auto", "Detected automatically")],
)
def test_the_usual_language_is_told_by_its_name(settings: Settings, usual: str, says: str) -> None:
    with TestClient(create_app(settings.model_copy(update={"language": usual})), headers=HTML) as browser:
        assert f'<option value="">As usual here: {says}</option>' in browser.get("/").text


def test_following_the_mailed_link_confirms_nothing_yet(browser: TestClient, settings: Settings) -> None:
    token = Signer(SECRET).sign("confirm", new_ask("anna@example.org").model_dump())
    assert "Yes, confirm" in browser.get(f"/confirm/{token}").text
    assert not stored(settings, keys.ADDRESSES)
    assert browser.post(f"/confirm/{token}", data={"form": ""}).status_code == 403
    assert browser.post(f"/confirm/{token}", data={"form": form_of(browser)}).status_code == 200
    assert len(stored(settings, keys.ADDRESSES)) == 1


def test_whoever_confirms_an_address_confirms_it_for_the_browser_that_is_theirs(settings: Settings) -> None:
    with ExitStack() as stack:
        stranger, owner = (stack.enter_context(TestClient(create_app(settings), headers=HTML)) for _ in range(2))
        for browser in (stranger, owner):
            assert ask(browser, "a.png", email="anna@example.org").status_code == 200
        (mail,) = Path(settings.mail_folder).iterdir()
        body = message_from_bytes(mail.read_bytes(), policy=default).get_body(("plain",))
        link = re.search(r"/confirm/\S+", body.get_content() if body else "")
        assert link is not None
        assert owner.post(link[0], data={"form": form_of(owner)}).status_code == 200
        told = ["Confirmed: the result is mailed to you" in browser.get("/").text for browser in (stranger, owner)]
        assert told == [False, True]


def test_what_strangers_send_in_the_name_of_an_address_counts_for_them_only(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"site_uploads_per_address": 1})), headers=HTML) as browser:
        for _ in range(3):
            assert ask(browser, "a.png", email="anna@example.org").status_code == 200


def test_a_picture_is_taken_while_no_mail_can_be_sent(settings: Settings) -> None:
    away = settings.model_copy(update={"notifier": "smtp", "smtp_port": 1})
    with TestClient(create_app(away), headers=HTML) as browser:
        leave = ask(browser, "a.png", email="anna@example.org").json()
        assert browser.put(leave["files"][0]["url"], content=png()).status_code == 201
        assert "confirm your address" in browser.get(leave["page"]).text
    assert len(stored(settings, keys.UNSENT)) == 1
    with TestClient(create_app(settings), headers=HTML):
        wait_until(lambda: len(list(Path(settings.mail_folder).glob("*.eml"))) == 1)


def test_a_link_that_has_expired_says_so(settings: Settings) -> None:
    expired = settings.model_copy(update={"site_link_days": -1.0})
    with TestClient(create_app(expired), headers=HTML) as browser:
        answer = browser.get(f"/uploads/{Signer(SECRET).sign('upload', ['x' * 22])}")
    assert answer.status_code == 410
    assert "This link has expired." in answer.text
    assert LinkExpired.http_status == 410


@pytest.mark.parametrize(("url", "works"), [("https://a.example/", True), ("http://a:81", True), ("http://a/b", False)])
def test_the_address_of_the_page_has_no_path(url: str, works: bool) -> None:
    if works:
        assert Settings(site_url=url, _env_file=None).site_url == url
    else:
        with pytest.raises(ValidationError):
            Settings(site_url=url, _env_file=None)


def test_every_answer_is_private_and_forbids_what_no_page_of_ours_does(browser: TestClient) -> None:
    for path in ("/", "/nothing", "/uploads/x", "/static/site.css", "/healthz", "/api/openapi.json"):
        headers = browser.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"]
        assert path.startswith("/static/") or headers["cache-control"] == "no-store"


def test_cookies_are_kept_from_scripts_and_from_other_sites(browser: TestClient) -> None:
    cookies = ask(browser, "a.png", email="anna@example.org").headers.get_list("set-cookie")
    assert any(cookie.startswith(ADDRESS) for cookie in cookies)
    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in cookies)
    assert "anna" not in browser.get("/uploads/x").text


@pytest.mark.parametrize(("behind", "forwarded", "same"), [(False, "1.1.1.1", True), (True, "9.9.9.9, 1.1.1.1", False)])
def test_who_is_forwarded_counts_behind_a_proxy_only(behind: bool, forwarded: str, same: bool) -> None:
    settings, signs = Settings(site_behind_proxy=behind, _env_file=None), Signer(SECRET)

    def client(*values: str) -> str:
        headers = [(b"x-forwarded-for", value.encode()) for value in values]
        scope = {"type": "http", "headers": headers, "client": ("2.2.2.2", 1), "query_string": b""}
        return visitor_of(Request(scope), signs, settings).client

    assert (client() == client(forwarded)) is same
    assert client(forwarded) == client(f"7.7.7.7, {forwarded}")


@pytest.mark.parametrize(
    ("one", "other"),
    [("203.0.113.7:1", "203.0.113.7"), ("[2001:db8::1]:1", "2001:db8::2"), ("::ffff:203.0.113.7", "203.0.113.7")],
)
def test_one_client_is_one_through_whichever_port_it_comes(one: str, other: str) -> None:
    settings, signs = Settings(site_behind_proxy=True, _env_file=None), Signer(SECRET)
    scopes = [
        {"type": "http", "headers": [(b"x-forwarded-for", each.encode())], "query_string": b""} for each in (one, other)
    ]
    assert len({visitor_of(Request(scope), signs, settings).client for scope in scopes}) == 1


def test_a_mailed_result_leads_to_the_page_where_the_settings_name_it(browser: TestClient, settings: Settings) -> None:
    named = settings.model_copy(update={"site_url": "https://words.example.org/"})
    texts = []
    for number, mailer in enumerate((named, settings)):
        store, upload_id = FilesStore(Path(settings.store)), f"{number:022d}"
        receive(store, picture_of("an owl"), settings, name="a.png", upload_id=upload_id, email="anna@example.org")
        delivery = delivery_of(store, upload_id)
        answer(store, delivery, settings)
        document = CountsDocument.model_validate_json(output_of(store, delivery, "word_counts"))
        announcing.announce_counts(store, notifier(mailer), delivery, document, mailer)
        (written,) = Path(settings.mail_folder).glob("*.eml")
        body = message_from_bytes(written.read_bytes(), policy=default).get_body(("plain",))
        assert body is not None
        texts.append(body.get_content())
        written.unlink()
    link = re.search(r"https://words\.example\.org(/uploads/\S+)\s+This link works for 7 days", texts[0])
    assert link is not None
    assert "a.png" in browser.get(link[1]).text
    assert "/uploads/" not in texts[1]


@pytest.mark.parametrize("kind", ["RecipientRefused", "NoSuchKind"])
def test_an_answer_that_could_not_be_mailed_says_so(browser: TestClient, settings: Settings, kind: str) -> None:
    leave = ask(browser, "a.png").json()
    browser.put(leave["files"][0]["url"], content=png())
    store = FilesStore(Path(settings.store))
    delivery = delivery_of(store, stored(settings)[0].parent.name)
    markers.mark_answered(
        store, delivery, Outcome(upload="", words=1, error=Problem(kind=kind, message="No such mailbox."))
    )
    shown = browser.get(f"{leave['page']}?language=de").text
    assert "konnte nicht verschickt werden" in shown
    assert "Fertig" in shown


@pytest.mark.parametrize(
    ("wished", "accepted", "got"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "fr, de;q=0.5, en;q=0.7", "en"),
        ("", "DE", "de"),
        ("", "De-de, EN", "de"),
        ("de", "en", "de"),
        ("xx", "q=;;,;", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(wished: str, accepted: str, got: str) -> None:
    assert negotiated(wished, accepted) == got


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_all_that_the_page_says_is_translated(language: str) -> None:
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    found = [message for _, _, message, _, _ in extract_from_dir(SITE, methods)]
    said = {message if isinstance(message, str) else message[0] for message in found}
    said |= {*ADVICE.values(), OUR_ADVICE}
    known = translations(language)._catalog  # type: ignore[attr-defined]  # noqa: SLF001 - gettext has no other way
    assert sorted(text for text in said if text not in known and (text, 0) not in known) == []
