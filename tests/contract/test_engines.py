"""What every engine promises, whoever made it; the words are really read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally import plugins
from inktally.document import Box
from inktally.errors import BadSettings, MissingTool
from inktally.imaging.page import PageImage, PageText
from inktally.ports import PageEngine
from inktally.settings import Settings, read_settings
from tests.support.servers import ENVIRONMENT
from tests.support.textract_server import textract_server

SIZE = (1000, 260)  # pixels
FONT = ImageFont.load_default(48)
LINES = ["Seven quiet fishes", "swim beneath 42 boats"]
PLACES = [(40, 40), (40, 140)]


@pytest.fixture(params=plugins.names("engines"))
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageEngine]:
    """Each engine that there is; Textract is a server of ours that holds its limits."""
    if request.param != "textract":
        yield plugins.engine(request.param, read_settings(cache=tmp_path))
        return
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with textract_server() as server:
        settings = Settings(cache=tmp_path, textract_endpoint=server.endpoint, textract_region="us-east-1")
        yield plugins.engine("textract", settings)


def paper() -> Image.Image:
    picture = Image.new("L", SIZE, "white")
    for place, line in zip(PLACES, LINES, strict=True):
        ImageDraw.Draw(picture).text(place, line, fill="black", font=FONT)
    return picture


def read(engine: PageEngine, picture: Image.Image) -> PageText:
    return engine.read(PageImage(np.asarray(picture), 200), engine.identify(["eng"]))


def test_words_come_line_by_line_and_the_text_is_theirs(engine: PageEngine) -> None:
    found = read(engine, paper())
    assert [word.text for word in found.words] == " ".join(LINES).split()
    assert found.text.split() == " ".join(LINES).split()
    assert [line.split() for line in found.text.splitlines() if line] == [line.split() for line in LINES]


def test_each_box_holds_the_ink_of_its_word(engine: PageEngine) -> None:
    draw = ImageDraw.Draw(paper())
    drawn = [
        draw.textbbox((left + draw.textlength(line[: line.index(word)], font=FONT), top), word, font=FONT)
        for (left, top), line in zip(PLACES, LINES, strict=True)
        for word in line.split()
    ]
    for word, (left, top, right, bottom) in zip(read(engine, paper()).words, drawn, strict=True):
        ink = Box(left=round(left), top=round(top), width=round(right - left), height=round(bottom - top))
        assert overlap(word.box, ink) > 0.4, word.text


def overlap(first: Box, second: Box) -> float:
    """What two boxes have in common, over what they cover together."""
    wide = min(first.left + first.width, second.left + second.width) - max(first.left, second.left)
    high = min(first.top + first.height, second.top + second.height) - max(first.top, second.top)
    common = max(0, wide) * max(0, high)
    return common / (first.width * first.height + second.width * second.height - common)


def test_numbers_of_the_layout_start_at_one_and_confidences_are_percentages(engine: PageEngine) -> None:
    words = read(engine, paper()).words
    assert all(min(word.page, word.block, word.paragraph, word.line, word.word) >= 1 for word in words)
    assert all(50 < word.confidence <= 100 for word in words)
    assert len({(*word.line_id, word.word) for word in words}) == len(words)


def test_colour_is_read_as_grey_is(engine: PageEngine) -> None:
    colour = paper().convert("RGB")
    assert [word.text for word in read(engine, colour).words] == " ".join(LINES).split()


def test_an_empty_page_has_no_words(engine: PageEngine) -> None:
    found = read(engine, Image.new("L", SIZE, "white"))
    assert (found.words, found.text.strip()) == ((), "")


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3)])
def test_a_page_too_small_for_text_has_no_words(size: tuple[int, int], engine: PageEngine) -> None:
    assert read(engine, Image.new("L", size, "white")).words == ()


def test_its_identity_tells_what_reads_and_is_always_the_same(engine: PageEngine) -> None:
    identity = engine.identify(["eng"])
    assert identity.languages == ("eng",)
    assert identity.version
    assert engine.identify(["eng"]).fingerprint == identity.fingerprint
    assert engine.identify(["deu"]).fingerprint != identity.fingerprint


def test_a_language_that_cannot_be_read_is_refused_with_a_way_out(engine: PageEngine) -> None:
    with pytest.raises((MissingTool, BadSettings), match=r"install|choose another engine"):
        engine.identify(["tlh"])
