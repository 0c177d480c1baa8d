"""Several engines in turn: who is asked for which page, and whose words are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from inktally import plugins
from inktally.document import Page, Recognition
from inktally.errors import BadSettings, CostCapReached, MissingTool
from inktally.settings import read_settings
from tests.support import paper
from tests.support.servers import ENVIRONMENT
from tests.support.textract_server import TextractServer, textract_server

Recognise = Callable[..., Recognition]
TEXT = "Seven quiet fishes swim beneath the boats\nand nobody on the water has seen them yet"

TINY = (242, 41)  # pixels


@pytest.fixture
def recognise(tmp_path: Path) -> Recognise:
    """Read a picture with an engine, or with auto."""

    def read(picture: Path, engine: str = "auto", **settings: object) -> Recognition:
        known = read_settings(**{"scratch": tmp_path, "cache": tmp_path, "recognition_workers": 1, **settings})
        recogniser = plugins.recogniser(engine, known)
        return recogniser.recognise(picture, recogniser.identify(["eng"]))

    return read


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextractServer]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with textract_server() as running:
        yield running


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return saved(printed(44), tmp_path / "clean.png")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Too small and blurred for Tesseract."""
    return saved(printed(40).resize(TINY).filter(ImageFilter.GaussianBlur(0.7)), tmp_path / "bad.png")


def printed(size: int) -> Image.Image:
    picture = Image.new("L", (1100, 190), "white")
    ImageDraw.Draw(picture).multiline_text((40, 30), TEXT, fill="black", font=ImageFont.load_default(size), spacing=20)
    return picture


def saved(picture: Image.Image, path: Path) -> Path:
    picture.save(path)
    return path


def only_page(recognition: Recognition) -> Page:
    (page,) = recognition.pages
    return page


def test_a_page_that_tesseract_reads_well_is_read_by_it_alone(clean: Path, recognise: Recognise) -> None:
    before = set(psutil.Process().children(recursive=True))
    recognition = recognise(clean)
    page = only_page(recognition)
    ours = set(psutil.Process().children(recursive=True)) - before
    assert recognition.text.split() == TEXT.split()
    assert (page.engine, page.reason) == ("tesseract", f"tesseract {page.quality:.2f}")
    loaded = {entry.path for child in ours for entry in child.memory_maps()}
    assert any("tesserocr" in path for path in loaded)


def test_a_page_that_came_out_badly_is_read_by_the_next_engine_too(bad: Path, recognise: Recognise) -> None:
    alone, both = recognise(bad, "tesseract"), recognise(bad)
    assert "rapidocr" in only_page(both).engine
    assert only_page(both).reason.startswith(f"tesseract {only_page(alone).quality:.2f}, rapidocr ")
    assert only_page(both).quality > only_page(alone).quality
    right = set(TEXT.split())
    assert len(right & set(both.text.split())) > len(right & set(alone.text.split()))


def test_boxes_lie_on_the_picture_that_came_in(tmp_path: Path, recognise: Recognise) -> None:
    lines = Image.new("L", (1100, 760), "white")
    for place in range(4):
        lines.paste(printed(44), (0, 190 * place))
    recognition = recognise(saved(lines.rotate(90, expand=True), tmp_path / "turned.png"), "rapidocr")
    page = only_page(recognition)
    assert recognition.text.split() == TEXT.split() * 4
    assert (page.width, page.height) == (760, 1100)
    assert [step.name for step in page.steps] == ["measure", "turn"]
    first, *_, last = recognition.words
    assert first.box.height > first.box.width
    assert first.box.top > last.box.top


def test_without_imaging_a_page_is_read_as_it_lies(tmp_path: Path, recognise: Recognise) -> None:
    turned = saved(printed(44).rotate(180), tmp_path / "turned.png")
    recognition = recognise(turned, "tesseract", imaging=False)
    assert set(TEXT.split()).isdisjoint(recognition.text.split())
    assert (only_page(recognition).steps, only_page(recognition).sections) == ((), ())


def test_a_text_layer_is_taken_as_it_is(tmp_path: Path, recognise: Recognise) -> None:
    recognition = recognise(paper.pdf(tmp_path / "page.pdf", paper.typed(paper.LINES)))
    page = only_page(recognition)
    assert (page.source, page.engine) == ("text layer", "")
    assert recognition.text.split() == " ".join(paper.LINES).split()


def test_a_paid_engine_is_asked_only_for_what_the_free_ones_read_badly(
    clean: Path, bad: Path, server: TextractServer, recognise: Recognise
) -> None:
    paid = {"auto_engines": "tesseract,textract", "textract_endpoint": server.endpoint, "textract_region": "us-east-1"}
    assert only_page(recognise(clean, **paid)).engine == "tesseract"
    assert server.seen == []
    page = only_page(recognise(bad, **paid))
    assert "textract" in page.reason
    assert [size for _, size, _ in server.seen] == [TINY]


def test_beyond_the_cap_a_page_stays_as_the_free_engines_read_it(
    bad: Path, server: TextractServer, recognise: Recognise
) -> None:
    paid = {"textract_endpoint": server.endpoint, "textract_region": "us-east-1", "paid_pages": 0}
    page = only_page(recognise(bad, auto_engines="tesseract,textract", **paid))
    assert page.engine == "tesseract"
    assert "textract not asked" in page.reason
    with pytest.raises(CostCapReached):
        recognise(bad, "textract", **paid)
    assert server.seen == []


def test_a_paid_engine_alone_reads_what_it_is_sent(clean: Path, server: TextractServer, recognise: Recognise) -> None:
    recognition = recognise(clean, "textract", textract_endpoint=server.endpoint, textract_region="us-east-1")
    assert recognition.text.split() == TEXT.split()
    assert only_page(recognition).engine == "textract"


def test_auto_is_all_its_engines_and_how_they_are_used(tmp_path: Path) -> None:
    def fingerprint(**settings: object) -> str:
        return plugins.recogniser("auto", read_settings(cache=tmp_path, **settings)).identify(["eng"]).fingerprint

    known = fingerprint()
    assert fingerprint() == known
    others = {fingerprint(auto_engines="tesseract"), fingerprint(imaging=False), fingerprint(auto_quality=0.5)}
    assert len({known, *others}) == 4


def test_an_engine_that_does_not_know_the_language_is_passed_over_unless_it_is_the_first(tmp_path: Path) -> None:
    settings = read_settings(cache=tmp_path)
    identity = plugins.recogniser("auto", settings).identify(["osd"])  # a model that only Tesseract has
    assert "rapidocr" not in identity.version
    with pytest.raises(MissingTool):
        plugins.recogniser("rapidocr", settings).identify(["osd"])


def test_a_language_may_be_named_as_it_was_in_the_past(tmp_path: Path) -> None:
    recogniser = plugins.recogniser("rapidocr", read_settings(cache=tmp_path))
    assert recogniser.identify(["deu_frak"]) == recogniser.identify(["frk"])


def test_auto_of_no_engine_is_a_bad_setting() -> None:
    with pytest.raises(BadSettings, match="INKTALLY_AUTO_ENGINES"):
        plugins.recogniser("auto", read_settings(auto_engines=" , "))
