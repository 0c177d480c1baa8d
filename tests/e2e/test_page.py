"""The page in a real browser, on the whole stack: drop a picture, confirm the address, see the words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from itsdangerous import TimestampSigner
from playwright.sync_api import Browser, Page, expect

from inktally.mail.links import Signer
from tests.support.browsers import (
    CHROMIUM,
    PHONE,
    drop,
    grave_faults,
    is_as_wide_as_the_window,
    keep_screenshot,
    running_browser,
    tab,
)
from tests.support.paper import picture
from tests.support.servers import S3Server
from tests.support.stack import Shared, Stack, new_stack

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")

TEXT = "the patient reader\nand the quiet writer\nread the same book"
HOSTILE = "<script>alert(1)</script>\n=cmd() quiet words"
READY_MS = 60_000
MOST_BYTES = 400_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, s3: S3Server, shared: Shared, spark_server: str) -> Iterator[Stack]:
    """On a folder store: the only one of the shared Prefect, whose trigger cannot tell folders apart."""
    folder = tmp_path_factory.mktemp("page")
    settings = {"max_bytes": MOST_BYTES, "outputs": "plain_text,coordinates_json,word_counts,word_counts_csv,pdf"}
    with new_stack(folder, s3, spark_server, shared, store=folder / "store", **settings) as made:
        made.start_site()
        made.start_watch()
        yield made


def content_of(text: str = TEXT, kind: str = "PNG", size: tuple[int, int] = (1000, 400)) -> bytes:
    content = BytesIO()
    picture(text, size).save(content, kind)
    return content.getvalue()


def send(page: Page, *files: tuple[str, bytes], email: str = "") -> None:
    page.goto("/")
    drop(page, *files)
    page.get_by_label("Mail the result to").fill(email)
    page.get_by_label("Language of the text").select_option("eng")
    page.get_by_role("button", name="Count the words").click()
    page.wait_for_url("**/uploads/*")


def link_in_mail(stack: Stack, to: str) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for mail in list(stack.mailbox.mails):
            if mail.to == to and (found := re.search(r"http\S+/confirm/\S+", mail.text)):
                return found[0]
        time.sleep(0.1)
    raise AssertionError("no mail with a link has come")


def grown_old(stack: Stack, link: str, days: int) -> str:
    """The same link, as if it had been made so many days ago by this very site."""
    secret = (Path(stack.machine.environment["INKTALLY_CACHE"]) / "site-secret").read_text().strip()
    begun, _, token = link.rpartition("/")
    ids = Signer(secret).open("upload", token, 60 * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time()) - days * 24 * 60 * 60)
        return f"{begun}/{Signer(secret).sign('upload', ids)}"


def tab_to(page: Page, name: str) -> None:
    """Press Tab until this is reached, by its id or its text."""
    for _ in range(15):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"{name} cannot be reached")


def mails_to(stack: Stack, to: str) -> list[str]:
    return [mail.text for mail in list(stack.mailbox.mails) if mail.to == to]


def wait_for_mails(stack: Stack, to: str, number: int) -> list[str]:
    deadline = time.monotonic() + 20
    while len(mails_to(stack, to)) < number and time.monotonic() < deadline:
        time.sleep(0.1)
    return mails_to(stack, to)


def test_a_dropped_picture_is_read_and_mailed_once_its_address_is_confirmed(stack: Stack, browser: Browser) -> None:
    with tab(browser, stack.site) as page:
        page.goto("/")
        keep_screenshot(page, "upload")
        assert not grave_faults(page)
        send(page, ("a page, “quoted” & 100%.png", content_of()), email="anna@example.org")
        expect(page.locator("#notice")).to_contain_text("confirm your address")
        expect(page.get_by_role("link", name="See the 11 words")).to_be_visible(timeout=READY_MS)
        keep_screenshot(page, "state")
        assert not grave_faults(page)
        assert len(mails_to(stack, "anna@example.org")) == 1, "nothing but the link before it is confirmed"

        state = page.url
        page.goto(link_in_mail(stack, "anna@example.org"))
        page.get_by_role("button", name="Yes, confirm").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("confirmed")
        assert "3  the" in wait_for_mails(stack, "anna@example.org", 2)[-1]

        page.goto("/")
        expect(page.locator("#address-known")).to_contain_text("Confirmed")
        page.goto(state)
        page.get_by_role("link", name="See the 11 words").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("a page, “quoted” & 100%.png")
        expect(page.locator(".overlay rect")).to_have_count(11)
        assert page.locator(".overlay image").evaluate("async (i) => (await fetch(i.href.baseVal)).status") == 200
        page.get_by_label("Find a word").fill("QUIET")
        page.keyboard.press("Enter")
        expect(page.get_by_text("page 1, line 2")).to_be_visible()
        expect(page.locator(".overlay .hit")).to_have_count(1)
        page.get_by_text("As a table").click()
        expect(page.locator("#counts tbody tr").first).to_contain_text("the")
        assert not grave_faults(page)
        with page.expect_download() as saved:
            page.get_by_role("link", name="The text").click()
        assert "patient reader" in Path(saved.value.path()).read_text()

        send(page, ("again.png", content_of()), email="Anna@example.org")  # known, and the address too
        expect(page.get_by_text("Sent by mail")).to_be_visible(timeout=READY_MS)


def test_a_photo_shows_each_word_in_its_box(stack: Stack, browser: Browser, pictures: Path) -> None:
    with tab(browser, stack.site) as page:
        send(page, ("lighthouse-photo.png", (pictures / "lighthouse-photo.png").read_bytes()))
        page.get_by_role("link", name=re.compile("See the .* words")).click(timeout=READY_MS)
        page.get_by_label("Find a word").fill("lighthouse")
        page.keyboard.press("Enter")
        expect(page.locator(".overlay .hit").first).to_be_visible()
        assert page.locator(".overlay rect").count() > 50
        assert not grave_faults(page)
        page.wait_for_load_state("networkidle")
        keep_screenshot(page, "result")


def test_text_that_is_code_stays_text(stack: Stack, browser: Browser) -> None:
    with tab(browser, stack.site) as page:
        alerts: list[str] = []
        page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        send(page, ("<img src=x onerror=alert(2)>.png", content_of(HOSTILE, size=(1300, 300))))
        page.get_by_role("link", name=re.compile("See the .* words")).click(timeout=READY_MS)
        expect(page.get_by_role("heading", level=1)).to_have_text("<img src=x onerror=alert(2)>.png")
        page.get_by_label("Find a word").fill("<script>")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Find a word")).to_have_value("<script>")
        assert page.locator(".overlay").evaluate("(drawn) => drawn.outerHTML").count("<script") == 0
        with page.expect_download() as saved:
            page.get_by_role("link", name="The counts (for spreadsheets)").click()
        assert not re.search(r"^=", Path(saved.value.path()).read_text(), re.MULTILINE)
        assert not alerts


def test_what_is_no_picture_or_too_large_or_expired_is_told_with_what_to_do(stack: Stack, browser: Browser) -> None:
    with tab(browser, stack.site) as page:
        page.goto("/")
        drop(page, ("large.png", b"x" * (MOST_BYTES + 1)))
        expect(page.get_by_role("alert")).to_contain_text("larger than 0.4 MB")
        page.goto("/")
        drop(page, ("letter.docx", b"PK\3\4 not a picture"))
        page.get_by_role("button", name="Count the words").click()
        expect(page.get_by_role("alert")).to_contain_text("This kind of file is not read.")
        page.goto("/")
        drop(page, ("letter.png", b"PK\3\4 not a picture"))
        page.get_by_role("button", name="Count the words").click()
        expect(page.get_by_role("alert")).to_contain_text("letter.png: This kind of file is not read.")
        send(page, ("broken.png", content_of()[:200]))
        expect(page.locator(".card.failed")).to_contain_text("The picture is damaged.", timeout=READY_MS)
        keep_screenshot(page, "failed")
        old = grown_old(stack, page.url, days=8)
        assert page.goto(grown_old(stack, page.url, days=6)).status == 200
        for expired in (old, f"{old}/1"):
            assert page.goto(expired).status == 410
            expect(page.get_by_role("heading", level=1)).to_have_text("This link has expired.")
            expect(page.get_by_text("Please upload the picture again")).to_be_visible()
        assert page.goto("/uploads/WyJub3RoaW5nIl0.Zxyz.forged").status == 404
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here.")


def test_a_phone_in_the_dark_in_german_has_it_all_on_320_pixels(stack: Stack, browser: Browser) -> None:
    with tab(browser, stack.site, PHONE, locale="de-DE", color_scheme="dark", has_touch=True) as page:
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Wörter eines Bildes zählen")
        assert is_as_wide_as_the_window(page)
        assert not grave_faults(page)
        keep_screenshot(page, "upload-phone-dark")
        tiff = BytesIO()
        pages = [picture(f"Seite {number}\nein stiller Leser", (700, 300)) for number in (1, 2)]
        pages[0].save(tiff, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_deflate")
        page.locator("#pictures").set_input_files({"name": "zwei.tif", "mimeType": "", "buffer": tiff.getvalue()})
        page.get_by_role("button", name="Wörter zählen").click()
        page.get_by_role("link", name=re.compile("Wörter ansehen")).click(timeout=READY_MS)
        page.get_by_role("link", name="Nächste Seite").click()
        expect(page.get_by_role("heading", name="Seite 2 von 2")).to_be_visible()
        shown = page.locator(".overlay image").evaluate(
            "async (i) => (await (await fetch(i.href.baseVal)).blob()).type"
        )
        assert shown == "image/webp"
        assert is_as_wide_as_the_window(page)
        assert not grave_faults(page)
        keep_screenshot(page, "result-phone-dark")
        for found in (stack.machine.folder.parent / "store" / "input" / "web").rglob("zwei.tif"):
            found.unlink()
        page.reload()
        expect(page.get_by_text("Das Bild wurde gelöscht")).to_be_visible()
        expect(page.locator(".overlay image")).to_have_count(0)
        assert page.locator(".overlay rect").count() > 2


def test_without_javascript_and_by_keyboard_alone(stack: Stack, browser: Browser) -> None:
    with tab(browser, stack.site, java_script_enabled=False) as page:
        page.goto("/")
        page.locator("#pictures").set_input_files(
            {"name": "plain.png", "mimeType": "", "buffer": content_of("plain words")}
        )
        page.get_by_label("Mail the result to").focus()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="See the 2 words").click(timeout=READY_MS)
        expect(page.locator(".overlay rect")).to_have_count(2)
    with tab(browser, stack.site) as page:
        page.goto("/")
        names = []
        for _ in range(12):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        order = ["Skip to the content", "pictures", "email", "language", "Count the words"]
        assert [name for name in names if name in order][:5] == order

        page.goto("/")
        tab_to(page, "pictures")
        with page.expect_file_chooser() as chosen:
            page.keyboard.press("Space")
        chosen.value.set_files({"name": "keys.png", "mimeType": "", "buffer": content_of("only keys here")})
        tab_to(page, "language")
        page.keyboard.type("English")
        tab_to(page, "Count the words")
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="See the 3 words")).to_be_visible(timeout=READY_MS)
        tab_to(page, "See the 3 words")
        page.keyboard.press("Enter")
        expect(page.locator(".overlay rect")).to_have_count(3)


def test_on_ceph_the_browser_posts_to_the_store_itself(
    ceph: S3Server, shared: Shared, spark_server: str, browser: Browser, tmp_path: Path
) -> None:
    with new_stack(tmp_path / "stack", ceph, spark_server, shared) as stack:
        allow_posts(stack)
        stack.connect()
        stack.start_site()
        with tab(browser, stack.site) as page:
            posts: list[str] = []
            page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
            send(page, ("größer & “besser” ${filename}.png", content_of()), email="berta@example.org")
            assert any(url.startswith(ceph.endpoint) for url in posts)
            page.get_by_role("link", name="See the 11 words").click(timeout=READY_MS)
            expect(page.locator(".overlay rect")).to_have_count(11)
            page.goto(link_in_mail(stack, "berta@example.org"))
            page.get_by_role("button", name="Yes, confirm").click()
            assert "3  the" in wait_for_mails(stack, "berta@example.org", 2)[-1]
        assert httpx.get(f"{ceph.endpoint}/{stack.bucket}", timeout=5).status_code == 403


def allow_posts(stack: Stack) -> None:
    """As docs/page.md says."""
    rule = {"AllowedOrigins": [stack.site], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"]}
    stack.s3.client.put_bucket_cors(Bucket=stack.bucket, CORSConfiguration={"CORSRules": [rule]})
