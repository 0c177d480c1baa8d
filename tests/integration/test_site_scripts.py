"""The page's scripts in a real browser, on a real site that reads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from inktally import keys
from inktally.settings import Settings
from tests.support.apis import serving
from tests.support.browsers import CHROMIUM, drop, running_browser, tab
from tests.support.paper import picture
from web.app import create_app

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def site(tmp_path: Path, store: Path) -> Iterator[str]:
    folders = {name: tmp_path / name for name in ("scratch", "cache")}
    app = create_app(Settings(store=str(store), mail_folder=str(tmp_path / "mail"), **folders, _env_file=None))
    with serving(app) as port:
        yield f"http://127.0.0.1:{port}"
        app.state.stopping.set()


def png() -> bytes:
    content = BytesIO()
    picture().save(content, "PNG")
    return content.getvalue()


def stored(store: Path) -> list[str]:
    return sorted(path.name for path in (store / keys.FROM_WEB).rglob("*") if path.is_file())


def test_of_several_pictures_only_those_that_failed_are_sent_again(site: str, store: Path, browser: Browser) -> None:
    with tab(browser, site) as page:
        page.goto("/")
        drop(page, ("bad.png", b"no picture"), ("good.png", png()))
        send = page.get_by_role("button", name="Count the words")
        send.click()
        expect(page.get_by_role("alert")).to_contain_text("bad.png: The file is no picture.")
        expect(page.locator("#files li")).to_have_count(1)
        assert stored(store) == ["good.png"]
        send.click()
        expect(send).to_be_enabled()
        expect(page.get_by_role("alert")).to_contain_text("bad.png: The file is no picture.")
        assert stored(store) == ["good.png"]
        with page.expect_popup() as opened:
            page.get_by_role("link", name="see what becomes of them").click()
        expect(opened.value.get_by_role("heading", name="good.png")).to_be_visible()


def test_a_kind_of_file_that_is_not_read_is_told_by_its_name_in_german(site: str, browser: Browser) -> None:
    with tab(browser, site, locale="de-DE") as page:
        page.goto("/")
        drop(page, ("good.png", png()), ("Brief.docx", b"PK"))
        page.get_by_role("button", name="Wörter zählen").click()
        expect(page.get_by_role("alert")).to_contain_text("Brief.docx: Diese Art von Datei wird nicht gelesen.")


def test_without_javascript_all_are_sent_or_none(site: str, store: Path, browser: Browser) -> None:
    with tab(browser, site, locale="de-DE", java_script_enabled=False) as page:
        page.goto("/")
        files = [
            {"name": name, "mimeType": "", "buffer": content} for name, content in (("a.png", png()), ("b.png", b"x"))
        ]
        page.locator("#pictures").set_input_files(files)
        page.get_by_role("button", name="Wörter zählen").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Die Datei ist kein Bild.")
        expect(page.get_by_text("b.png")).to_be_visible()
        assert stored(store) == []


def test_a_connection_that_is_refused_is_told_and_made_again(site: str, browser: Browser) -> None:
    with tab(browser, site) as page:
        page.route("**/events*", lambda route: route.fulfill(status=503))
        page.goto("/")
        drop(page, ("good.png", png()))
        page.get_by_role("button", name="Count the words").click()
        expect(page.get_by_text("The connection is lost; this page tries again.")).to_be_visible()
        page.unroute("**/events*")
        expect(page.get_by_text("The connection is lost; this page tries again.")).to_be_hidden(timeout=15_000)
