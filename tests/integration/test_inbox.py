"""The inbox on the web, over mails as the notifier `folder` writes them."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from inktally.delivery import Mail
from inktally.document import sha256_of
from inktally.notifiers.folder import FolderNotifier
from web.inbox import create_app

PASSWORD = "a password of the tests"
EVIL = '<script>parent.document.title = "mine"</script><img src="http://192.0.2.7/seen.png">'


@pytest.fixture
def browser(tmp_path: Path) -> TestClient:
    made = TestClient(create_app(tmp_path / "mail", PASSWORD), base_url="http://127.0.0.1:8025")
    made.auth = ("anybody", PASSWORD)
    return made


def send(folder: Path, subject: str, *, html: str = "<b>7 words</b>", came: int = 0) -> str:
    """A mail with an attachment; the name it has in the inbox."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "inktally@localhost", "anna@example.org", subject
    mail["Message-ID"] = f"<{sha256_of(subject)}@localhost>"
    mail.set_content("7 words, as plain text")
    mail.add_alternative(html, subtype="html")
    mail.add_attachment(b'{"words": 7}', maintype="application", subtype="json", filename="page ü.json")
    message_id = str(mail["Message-ID"])
    sent = Mail(sender="inktally@localhost", recipient="anna@example.org", message_id=message_id, content=bytes(mail))
    FolderNotifier(folder / "mail").send(sent)
    name = sha256_of(message_id)[:32]
    os.utime(folder / "mail" / f"{name}.eml", (came, came))
    return name


def test_an_inbox_without_a_folder_is_empty(browser: TestClient) -> None:
    assert "None has come yet" in browser.get("/").text


def test_mails_are_listed_the_newest_first(browser: TestClient, tmp_path: Path) -> None:
    names = [send(tmp_path, f"words in {n}.png", came=1000 + n) for n in range(3)]
    page = browser.get("/").text
    assert sorted(names, key=page.index) == names[::-1]
    assert "anna@example.org" in page


def test_a_mail_is_shown_as_text_and_in_a_frame_that_may_do_nothing(browser: TestClient, tmp_path: Path) -> None:
    name = send(tmp_path, "7 words", html=EVIL)
    page = browser.get(f"/mails/{name}")
    assert "7 words, as plain text" in page.text
    assert f'<iframe sandbox src="/mails/{name}/html"' in page.text
    assert EVIL not in page.text
    frame = browser.get(f"/mails/{name}/html")
    rules = [rule.strip() for rule in frame.headers["Content-Security-Policy"].split(";")]
    assert EVIL in frame.text
    assert {"sandbox", "default-src 'none'", "frame-ancestors 'self'"} <= set(rules)
    assert not any(rule.startswith("script-src") or "http" in rule for rule in rules)


def test_what_a_mail_says_of_itself_is_no_html(browser: TestClient, tmp_path: Path) -> None:
    name = send(tmp_path, "<i>7</i> words")
    for page in (browser.get("/"), browser.get(f"/mails/{name}")):
        assert "&lt;i&gt;7&lt;/i&gt; words" in page.text
        assert "<i>" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_an_attachment_is_saved_and_never_shown(browser: TestClient, tmp_path: Path) -> None:
    name = send(tmp_path, "7 words")
    assert f'href="/mails/{name}/files/0"' in browser.get(f"/mails/{name}").text
    saved = browser.get(f"/mails/{name}/files/0")
    assert saved.content == b'{"words": 7}'
    assert unquote(saved.headers["Content-Disposition"]) == "attachment; filename*=UTF-8''page ü.json"
    assert saved.headers["X-Content-Type-Options"] == "nosniff"
    assert browser.get(f"/mails/{name}/files/1").status_code == 404


@pytest.mark.parametrize("name", ["%2e%2e%2fsecret", "..%5csecret", "secret", "../secret", f"{'0' * 31}/", "0" * 33])
def test_only_names_of_mails_find_anything(browser: TestClient, tmp_path: Path, name: str) -> None:
    send(tmp_path, "7 words")
    for place in (tmp_path, tmp_path / "mail"):
        (place / "secret.eml").write_text("Subject: secret\n\nsecret")
    assert "secret" not in browser.get("/").text
    for path in (f"/mails/{name}", f"/mails/{name}/html", f"/mails/{name}/files/0"):
        assert browser.get(path).status_code == 404


@pytest.mark.parametrize("auth", [None, ("anybody", ""), ("anybody", "another"), (PASSWORD, "")])
def test_nothing_is_shown_without_the_password(
    browser: TestClient, tmp_path: Path, auth: tuple[str, str] | None
) -> None:
    name = send(tmp_path, "7 words")
    browser.auth = auth
    for path in ("/", f"/mails/{name}", f"/mails/{name}/html", f"/mails/{name}/files/0"):
        answer = browser.get(path)
        assert (answer.status_code, "7" in answer.text) == (401, False)
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
