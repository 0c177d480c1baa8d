"""Pages in scripts whose letters hang together, or look alike upside down: no worse than by the bare command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import scripts
from benchmarks.readers import ours
from inktally import plugins
from inktally.settings import read_settings

ALIKE = 0.02


@pytest.fixture(params=["ara", "heb", "hin", "tha"])
def model(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in scripts.available((name,)):
        pytest.skip(f"needs the model {name} and its font: apt-get install tesseract-ocr-{name} {scripts.PACKAGES}")
    return name


def test_a_page_is_read_no_worse_than_by_the_bare_command(model: str) -> None:
    found = scripts.result(model, "tesseract", pages=1, seed=3, lines=8)
    assert found.tesseract > 0.5
    assert found.ours >= found.tesseract - ALIKE


@pytest.mark.parametrize(("model", "degrees"), [("heb", 180), ("hin", 90)], indirect=["model"])
def test_a_page_that_was_turned_is_read_like_an_upright_one(model: str, degrees: int, tmp_path: Path) -> None:
    upright, turned = tmp_path / "upright.png", tmp_path / "turned.png"
    scripts.draw(model, upright, seed=4, count=6)
    Image.open(upright).rotate(degrees, expand=True).save(turned)
    with ours("tesseract").started() as read:
        expected = read(upright, model)
        assert scripts.f1(expected, read(turned, model)) >= 1 - ALIKE


@pytest.mark.parametrize("model", ["ara", "tha"], indirect=True)
def test_the_script_of_a_page_is_found_among_the_models(model: str, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    text = scripts.draw(model, picture, seed=9, count=8)
    recogniser = plugins.recogniser("tesseract", read_settings(scratch=tmp_path, cache=tmp_path))
    recognition = recogniser.recognise(picture, recogniser.identify(["auto"]))
    assert recognition.pages[0].languages == (model,)
    assert scripts.f1(" ".join(text), " ".join(recognition.text)) > 0.9
