"""Documents of many pages: read by several at once as by one, gone on with after a kill, and stopped whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from inktally import keys, plugins
from inktally.delivery import Upload
from inktally.document import Recognition
from inktally.errors import RecognitionTimeout, TooLarge
from inktally.ports import Store
from inktally.reading.page_order import AHEAD
from inktally.settings import Settings, read_settings
from inktally.steps import deliveries, recognising
from tests.support import paper
from tests.support.machine import PROJECT
from tests.support.openings import Openings
from tests.support.servers import ENVIRONMENT
from tests.support.textract_server import textract_server
from tests.support.waiting import eventually


def recognised(picture: Path, scratch: Path, engine: str = "tesseract", **settings: object) -> Recognition:
    known = read_settings(**{"scratch": scratch, "cache": scratch, "recognition_workers": 2, **settings})
    recogniser = plugins.recogniser(engine, known)
    return recogniser.recognise(picture, recogniser.identify(["eng"]))


def scans(path: Path, texts: Sequence[str]) -> Path:
    first, *others = (paper.picture(text) for text in texts)
    first.save(path, save_all=True, append_images=others)
    return path


def wrapped(folder: Path, shell: str, *before: str) -> str:
    """A `tesseract` that runs some shell before it reads a page, and some before that at each start."""
    command = folder / "bin" / "tesseract"
    command.parent.mkdir(exist_ok=True)
    script = ["#!/bin/sh", *before, f'case "$*" in *" -l "*) {shell};; esac', 'exec /usr/bin/env tesseract "$@"', ""]
    command.write_text("\n".join(script))
    command.chmod(0o755)
    return str(command)


def asleep(seconds: str) -> int:
    return sum(each.info["cmdline"] == ["sleep", seconds] for each in psutil.process_iter(["cmdline"]))


def typed_and_scanned(path: Path) -> Path:
    """Pages with a text layer, whose letters are confirmed from page to page, and scans among them."""
    pages = []
    for number in range(1, AHEAD + 6):
        words = [f"Folio {number} speaks about {'abcdefghijklmnopqrstuvwxyz'[number]}pples and quiet rivers"]
        pages.append(paper.typed(words * 4) if number % 5 else "")
    return paper.pdf(path, *pages, scan=None)


def test_two_workers_read_what_one_reads(tmp_path: Path) -> None:
    for name, document in {
        "typed": typed_and_scanned(tmp_path / "typed.pdf"),
        "scanned": scans(tmp_path / "scans.pdf", [f"Page {number} of scans" for number in range(1, 7)]),
        "frames": scans(tmp_path / "frames.tiff", ["First page", "Second one", "Third"]),
    }.items():
        one = recognised(document, tmp_path, recognition_workers=1)
        two = recognised(document, tmp_path, recognition_workers=2)
        assert one.model_dump_json() == two.model_dump_json(), name
        assert [page.number for page in two.pages] == list(range(1, len(two.pages) + 1))


def test_too_many_words_stop_the_pages_that_are_being_read(tmp_path: Path) -> None:
    document = scans(tmp_path / "long.tiff", ["Four words are here"] * 12)
    with pytest.raises(TooLarge, match="more than 6 words"):
        recognised(document, tmp_path, tesseract=wrapped(tmp_path, "sleep 1"), max_words=6, imaging=False)
    eventually(lambda: asleep("1") == 0, 1)


def test_the_limit_of_time_is_a_pages_and_grows_with_the_pages(tmp_path: Path) -> None:
    document = scans(tmp_path / "slow.tiff", ["Slow"] * 12)
    slow = {"tesseract": wrapped(tmp_path, "sleep 1"), "imaging": False}
    assert len(recognised(document, tmp_path, recognition_seconds=20, **slow).pages) == 12  # 12 s and more for all
    with pytest.raises(RecognitionTimeout, match=r"pages had taken \d seconds; send the document in parts"):
        recognised(document, tmp_path, recognition_seconds=2.5, **slow)


def test_a_page_that_takes_too_long_ends_all_that_was_started(tmp_path: Path) -> None:
    document = scans(tmp_path / "stuck.tiff", ["Stuck"] * 6)
    stuck = wrapped(tmp_path, "sleep 4711 & wait")
    with pytest.raises(RecognitionTimeout, match="after 3 seconds"):
        recognised(document, tmp_path, tesseract=stuck, recognition_seconds=3, imaging=False)
    eventually(lambda: asleep("4711") == 0, 5)


def test_the_first_pages_that_need_it_are_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    document = scans(tmp_path / "paid.tiff", [f"Page {number}" for number in range(1, 6)])
    with textract_server() as server:
        paid = {"textract_endpoint": server.endpoint, "textract_region": "us-east-1", "paid_pages": 3}
        asks = {"auto_engines": "tesseract,textract", "auto_quality": 1.0}
        recognition = recognised(document, tmp_path, "auto", **paid, **asks)
    asked = ["textract" in page.reason and "not asked" not in page.reason for page in recognition.pages]
    wanted = [page.quality != 1.0 or "textract" in page.reason for page in recognition.pages]
    assert asked.count(True) == 3
    assert asked == [is_wanted and sum(wanted[:place]) < 3 for place, is_wanted in enumerate(wanted)]


@pytest.fixture
def openings(tmp_path: Path) -> Openings:
    """Of one file for each page that is read."""
    return Openings(tmp_path / "bin" / "starts")


@pytest.fixture
def settings(tmp_path: Path, openings: Openings) -> Settings:
    command = wrapped(tmp_path, "sleep 0.2", openings.by_shell("read", '*" -l "*'))
    return read_settings(
        store=str(tmp_path / "store"),
        scratch=tmp_path,
        cache=tmp_path / "cache",
        tesseract=command,
        recognition_workers=2,
        lease_seconds=1.0,
        imaging=False,
    )


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Store:
    opened = plugins.store(settings.store, settings)
    document = scans(tmp_path / "book.tiff", [f"Page {number}" for number in range(1, 25)])
    opened.put("input/book.tiff", document)
    return opened


PROGRAM = """
import sys
from inktally import plugins
from inktally.delivery import Upload
from inktally.settings import Settings, restored
from inktally.steps import deliveries, recognising
settings = restored(sys.argv[1])
store = plugins.store(settings.store, settings)
recogniser = plugins.recogniser("tesseract", settings)
delivery = deliveries.look(store, Upload(key="input/book.tiff", store=store.uri))
recognising.recognise(store, recogniser, delivery, recogniser.identify(["eng"]), settings, refresh=False)
"""


def test_after_a_kill_only_the_pages_under_way_are_read_again(
    settings: Settings, store: Store, openings: Openings
) -> None:
    killed = subprocess.Popen([sys.executable, "-c", PROGRAM, settings.without_secrets()], cwd=PROJECT)
    eventually(lambda: len(list(store.list(keys.PAGES))) >= 10, 60)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = len(list(store.list(keys.PAGES)))
    assert 10 <= kept < 20
    openings.forget()
    recogniser = plugins.recogniser("tesseract", settings)
    delivery = deliveries.look(store, Upload(key="input/book.tiff", store=store.uri))
    told: list[int] = []
    receipt = recognising.recognise(
        store,
        recogniser,
        delivery,
        recogniser.identify(["eng"]),
        settings,
        refresh=False,
        when_read=lambda number, _: told.append(number),
    )
    read_again = len(openings.kinds()) - (24 - 1 - kept)  # the first page is always read, and never kept
    assert read_again <= 1
    assert (receipt.pages, told) == (24, list(range(1, 25)))
    assert list(store.list(keys.PAGES)) == []
    words = [word.text for word in recognising.recognition_of(store, receipt).words]
    assert words == [part for number in range(1, 25) for part in ("Page", str(number))]
