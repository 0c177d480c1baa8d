"""How well our own pages are read once they have suffered: bounds below which a change has made things worse.

The page is a sample of the demo; what happens to it is drawn here, the same each time. Real pages are read by
benchmarks.accuracy; this guards what has been reached there between two of its runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from benchmarks.accuracy import f1
from deployments.samples import CLEAN, MARGIN, SAMPLES, render
from inktally import plugins
from inktally.document import Page
from inktally.settings import read_settings

TRUTH = SAMPLES[CLEAN]


class Case(NamedTuple):
    """What happens to a page, who reads it, and the F1 that is reached at least."""

    suffered: Callable[[Image.Image], Image.Image]
    engine: str
    least: float


def on_its_side(page: Image.Image) -> Image.Image:
    return page.rotate(90, expand=True)


def skewed_and_salted(page: Image.Image) -> Image.Image:
    turned = page.rotate(4, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    pixels = np.array(turned)
    dice = np.random.default_rng(1).random(pixels.shape)
    pixels[dice < 0.02], pixels[dice > 0.98] = 0, 255
    return Image.fromarray(pixels)


def white_on_black_in_a_shadow(page: Image.Image) -> Image.Image:
    """A quarter of the light is left at the right."""
    light = np.linspace(1.0, 0.25, page.width, dtype=np.float32)
    return ImageOps.invert(Image.fromarray((np.asarray(page) * light).astype(np.uint8)))


def tiny(page: Image.Image) -> Image.Image:
    """As on a thumbnail: 50 dpi, somewhat blurred."""
    return page.resize((page.width // 4, page.height // 4)).filter(ImageFilter.GaussianBlur(0.6))


CASES = [
    Case(on_its_side, "tesseract", 0.99),
    Case(skewed_and_salted, "tesseract", 0.97),
    Case(white_on_black_in_a_shadow, "tesseract", 0.98),
    Case(on_its_side, "rapidocr", 0.98),
    Case(tiny, "auto", 0.97),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Image.Image:
    """As much of the page as has text."""
    folder = tmp_path_factory.mktemp("samples")
    render(folder)
    with Image.open(folder / CLEAN) as page:
        grey = page.convert("L")
    *_, bottom = ImageOps.invert(grey).getbbox() or (0, 0, 0, page.height)
    return grey.crop((0, 0, page.width, bottom + MARGIN))


def read(picture: Path, engine: str, cache: Path) -> tuple[str, Page]:
    recogniser = plugins.recogniser(engine, read_settings(cache=cache, recognition_workers=1))
    recognition = recogniser.recognise(picture, recogniser.identify(["eng"]))
    return recognition.text, recognition.pages[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.suffered.__name__}-{case.engine}")
def test_a_page_is_read_as_well_as_it_has_been(case: Case, clean: Image.Image, tmp_path: Path) -> None:
    case.suffered(clean).save(tmp_path / "page.png")
    text, page = read(tmp_path / "page.png", case.engine, tmp_path)
    reached = f1(TRUTH, text)
    assert reached >= case.least, page
    assert page.quality == pytest.approx(reached, abs=0.15), "the estimate is off"
