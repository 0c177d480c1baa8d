"""The page of a result: fast however much was read, and it says where it leaves something out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import anyio.to_thread
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from inktally import keys, plugins
from inktally.delivery import Outcome
from inktally.document import PageWarning
from inktally.intake import status
from inktally.mail.links import Signer
from inktally.outputs.shared.json_text import by_lines
from inktally.outputs.shared.registry import OUTPUTS
from inktally.outputs.word_counts import counts_json
from inktally.settings import Settings
from inktally.steps import markers
from tests.support.readings import a_reading
from web.app import create_app
from web.site import previews

SECRET = "a secret that is long enough for this"
ID = "A" * 22
LINK = f"/uploads/{Signer(SECRET).sign('upload', [ID])}/1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {name: tmp_path / name for name in ("scratch", "cache")}
    return Settings(
        store=str(tmp_path / "store"), mail_folder=str(tmp_path / "mail"), site_secret=SECRET, **folders, _env_file=None
    )


@pytest.fixture
def browser(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), headers={"accept": "text/html"}, follow_redirects=False) as client:
        yield client


def png(side: int = 100) -> bytes:
    content = BytesIO()
    Image.new("1", (side, side)).save(content, "PNG")
    return content.getvalue()


def answered(
    settings: Settings,
    *,
    pages: int = 1,
    words: int = 3,
    picture: bytes | None = None,
    upload_id: str = ID,
    **facts: object,
) -> None:
    """As if a picture had been read: so many words on each of its pages."""
    store = plugins.store(settings.store, settings)
    store.put(keys.from_web(upload_id, "a.png"), picture or png())
    delivery = status.delivery_of(store, upload_id)
    store.put(keys.web_record(upload_id), delivery.model_dump_json().encode())  # a run has taken it up
    place = {"block": 1, "paragraph": 1, "box": {"left": 1, "top": 1, "width": 9, "height": 9}, "confidence": 90.0}
    read = [
        {"text": f"Word{number}", "page": page, "line": 1 + number // 10, "word": number % 10, "tokens": [], **place}
        for page in range(1, pages + 1)
        for number in range(words)
    ]
    sizes = [{"number": page, "width": 100, "height": 100} for page in range(1, pages + 1)]
    key = OUTPUTS["coordinates_json"].key(delivery.upload.name)
    store.put(key, by_lines({"pages": sizes, "words": read}))
    told = {"upload": "", "words": pages * words, "distinct": words, "outputs": {"coordinates_json": key}, **facts}
    markers.mark_answered(store, delivery, Outcome.model_validate(told))


def test_two_hundred_full_pages_are_shown_and_searched_quickly(browser: TestClient, settings: Settings) -> None:
    answered(settings, pages=200, words=500)
    begun = time.process_time()
    shown = browser.get(LINK, params={"page": 200, "q": "word499"})
    assert shown.text.count("<rect class") == 500 + 3, "those of this page, and of the legend"
    assert "200 places with" in shown.text
    assert time.process_time() - begun < 4


@pytest.mark.parametrize(
    ("language", "said"), [("en", "This page could not be opened"), ("de", "Diese Seite ließ sich nicht öffnen")]
)
def test_warnings_are_shown_with_their_pages(browser: TestClient, settings: Settings, language: str, said: str) -> None:
    answered(settings, pages=2)
    warning = PageWarning(code="not-decoded", page=2, message="It is broken.")
    counts = a_reading("one").counts
    key = keys.word_counts(keys.from_web(ID, "a.png").removeprefix(keys.INPUT))
    store = plugins.store(settings.store, settings)
    store.put(key, counts_json(counts.model_copy(update={"warnings": (warning,)})))
    shown = browser.get(LINK, headers={"accept-language": language}).text
    assert said in shown
    assert f'href="{LINK}?page=2#picture"' in shown
    store.put(key, counts_json(counts))
    assert said not in browser.get(LINK, headers={"accept-language": language}).text


@pytest.mark.parametrize(("number", "is_there"), [(1, True), (2, True), (0, False), (3, False), ("9" * 5000, False)])
def test_only_pages_that_there_are_are_drawn(
    browser: TestClient, settings: Settings, number: object, is_there: bool
) -> None:
    tiff = BytesIO()
    Image.new("L", (50, 50)).save(tiff, "TIFF", save_all=True, append_images=[Image.new("L", (50, 50))])
    answered(settings, pages=2, picture=tiff.getvalue())
    drawn = browser.get(f"{LINK}/pages/{number}")
    assert (drawn.status_code, drawn.headers["content-type"]) == (
        (200, "image/webp") if is_there else (404, "text/html; charset=utf-8")
    )


def test_pages_that_wait_to_be_drawn_keep_nobody_else_waiting(browser: TestClient, settings: Settings) -> None:
    async def have_few_threads() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 4

    assert browser.portal is not None
    browser.portal.call(have_few_threads)
    links = []
    for number in range(10):
        answered(settings, picture=png(4000), upload_id=f"C{number:021d}")
        links.append(f"/uploads/{Signer(SECRET).sign('upload', [f'C{number:021d}'])}/1/pages/1")
    with ThreadPoolExecutor(len(links)) as pool:
        drawn = [pool.submit(browser.get, link) for link in links]
        while not any(each.done() for each in drawn):
            time.sleep(0.05)
        assert browser.get("/").status_code == 200
        assert sum(each.done() for each in drawn) < 5, "nobody was answered before most pages were drawn"
    assert [each.result().status_code for each in drawn] == [200] * len(links)


@pytest.mark.parametrize("limit", ["MOST_WAITING", "OF_ONE_CLIENT"])
def test_more_pages_than_can_soon_be_drawn_are_refused(
    browser: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(previews, limit, 0)
    answered(settings)
    answer = browser.get(f"{LINK}/pages/1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "Too much is going on just now." in answer.text


@pytest.mark.parametrize(("words", "says"), [(1, "See the 1 word<"), (2, "See the 2 words<"), (0, "See the result<")])
def test_one_word_is_no_words(browser: TestClient, settings: Settings, words: int, says: str) -> None:
    answered(settings, words=words)
    assert says in browser.get(LINK.rpartition("/")[0]).text


def test_what_is_left_out_is_told(browser: TestClient, settings: Settings) -> None:
    answered(settings, words=5001)
    shown = browser.get(LINK, params={"q": "word"}).text
    assert "The first 5,000 of 5,001 words; the downloads have them all." in shown
    assert "The first 1,000 of 5,001 words; the downloads have them all." in shown
    assert "The first 200 of 5,001 places." in shown
    answered_in_full = browser.get(LINK, params={"q": "word4999"}).text
    assert "places." not in answered_in_full


def test_nothing_is_said_where_nothing_is_left_out(browser: TestClient, settings: Settings) -> None:
    answered(settings, words=20)
    assert 'class="hint cut"' not in browser.get(LINK, params={"q": "word"}).text


def test_each_step_tells_how_long_it_took_but_for_those_that_tell_whether_the_picture_was_known(
    browser: TestClient, settings: Settings
) -> None:
    seconds = {"recognise": 1.26, "count": 2.5, "publish": 0.3, "announce": 0.02, "dispose": 0.4}
    answered(settings, seconds=seconds, notified="anna@example.org")
    card = re.sub("<[^>]*>", "|", browser.get(LINK.rpartition("/")[0]).text)
    told = re.sub(r"[|\s]*\|[|\s]*", "|", card)
    assert "Received, and waited|&lt; 0.1 s|Text recognised|Words counted|Results written|0.3 s|" in told
    assert "|Sent by mail|&lt; 0.1 s|" in told
    assert " s in all|" in told
    assert "anna" not in told
