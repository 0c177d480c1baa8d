"""A real browser for tests (Debian's chromium), what people do in it, and where its screenshots go."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
DESKTOP, PHONE = (1280, 900), (320, 640)
GRAVE = {"serious", "critical"}

DROP = """([target, files]) => {
  const transfer = new DataTransfer();
  for (const { name, content } of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  document.querySelector(target).dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


@contextmanager
def running_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, site: str, size: tuple[int, int] = DESKTOP, **options: object) -> Iterator[Page]:
    """A tab of a new profile. What the page's policy forbids, and what its scripts throw, fails the test."""
    context = browser.new_context(
        base_url=site, viewport={"width": size[0], "height": size[1]}, **{"locale": "en-GB", **options}
    )
    try:
        page, faults = context.new_page(), []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda told: faults.append(told.text) if "Content Security Policy" in told.text else None)
        yield page
        assert not faults
    finally:
        context.close()


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    """As from a folder of the desktop onto the page."""
    told = [{"name": name, "content": base64.b64encode(content).decode()} for name, content in files]
    page.evaluate(DROP, ["#drop", told])


def grave_faults(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in GRAVE]


def keep_screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def is_as_wide_as_the_window(page: Page) -> bool:
    """Whether nobody has to scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
