"""What every page engine promises, whichever it is. Textract's answers come from tests/textract_server.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally.document import Word
from inktally.errors import BadSettings, MissingTool
from inktally.imaging.page import PageImage, PageText
from inktally.ports import PageEngine
from inktally.settings import read_settings
from tests.servers import ENVIRONMENT
from tests.textract_server import textract_server

TEXT = ["The patient heron stood", "beside the quiet mill", "and counted seven fishes"]


@dataclass(frozen=True)
class Bench:
    """An engine, and what it read on `page()`."""

    name: str
    engine: PageEngine
    found: PageText

    def read(self, given: PageImage) -> tuple[Word, ...]:
        return self.engine.read(given, self.engine.identify(["eng"])).words


@pytest.fixture(scope="module", params=["tesseract", "rapidocr", "textract"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with textract_server() as server, pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        settings = read_settings(
            cache=tmp_path_factory.mktemp("cache"), textract_endpoint=server.endpoint, textract_region="us-east-1"
        )
        engine: PageEngine = import_module(f"inktally.engines.{request.param}").build(settings)
        yield Bench(request.param, engine, engine.read(page(), engine.identify(["eng"])))


def page(*, colour: bool = False, lines: Sequence[str] = TEXT) -> PageImage:
    image = Image.new("RGB" if colour else "L", (1200, 500), "white")
    font = ImageFont.load_default(60)
    ImageDraw.Draw(image).multiline_text((80, 80), "\n".join(lines), fill="black", font=font, spacing=40)
    return PageImage(np.asarray(image), dpi=200)


def test_it_reads_the_words_in_their_order(bench: Bench) -> None:
    assert " ".join(word.text for word in bench.found.words) == " ".join(TEXT)


def test_colour_is_read_as_grey_is(bench: Bench) -> None:
    assert [word.text for word in bench.read(page(colour=True))] == [word.text for word in bench.found.words]


def test_its_text_has_its_words_line_by_line(bench: Bench) -> None:
    assert bench.found.text.split() == " ".join(TEXT).split()


def test_every_box_lies_within_the_page_and_on_its_ink(bench: Bench) -> None:
    given = page()
    for word in bench.found.words:
        box = word.box
        assert 0 <= box.left < box.left + box.width <= given.width
        assert 0 <= box.top < box.top + box.height <= given.height
        assert given.pixels[box.top : box.top + box.height, box.left : box.left + box.width].min() < 128


def test_confidence_goes_from_0_to_100(bench: Bench) -> None:
    confidences = [word.confidence for word in bench.found.words]
    assert all(0 <= confidence <= 100 for confidence in confidences)
    assert max(confidences) > 50


def test_words_are_numbered_by_line(bench: Bench) -> None:
    lines: dict[tuple[int, int, int, int], list[int]] = {}
    for word in bench.found.words:
        lines.setdefault(word.line_id, []).append(word.word)
    assert list(lines.values()) == [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]


def test_a_white_page_has_no_words(bench: Bench) -> None:
    assert bench.read(page(lines=[])) == ()


def test_an_unknown_language_is_told_in_a_typed_error(bench: Bench) -> None:
    with pytest.raises((BadSettings, MissingTool), match="tlh"):
        bench.engine.identify(["tlh"])


def test_its_name_and_fingerprint_are_its_own_and_stay(bench: Bench) -> None:
    engine = bench.engine.identify(["eng"])
    assert engine.name == bench.name
    assert engine.fingerprint == bench.engine.identify(["eng"]).fingerprint
    assert engine.fingerprint != engine.model_copy(update={"languages": ("deu",)}).fingerprint
