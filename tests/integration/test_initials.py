"""Drop capitals belong to their words, in scans and in the text of PDFs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally.document import Box, Word
from inktally.imaging.initials import lowered
from inktally.reading.initials import joined
from inktally.reading.vocabulary import vocabulary
from tests.integration.test_text_layer import read, words
from tests.support.layers import PROSE, SANS, SERIF, WORDS, Sheet, body, scan

BEGINNINGS = [
    ("W", "andering sailors tell long stories", "wandering"), ("R", "ealized plans need patient people", "realized"),
    ("T", "HE MILLER kept a careful book", "the"), ("A", "lthough it was raining we went", "although"),
]  # fmt: skip
TWO_WORDS = [("A", "small kitchen serves fresh soup", ["a", "small"]), ("I", "was born beside the river", ["i", "was"])]


def printed(initial: str, beginning: str, font: str = SERIF, lines: int = 2) -> Image.Image:
    """A page whose first letter is as high as so many lines."""
    page = Image.new("L", (1240, 1000), 250)
    draw, pitch = ImageDraw.Draw(page), 46
    large, small = ImageFont.truetype(font, round(30 + (lines - 1) * pitch * 1.36)), ImageFont.truetype(font, 30)
    foot = 150 + (lines - 1) * pitch
    draw.text((100, foot), initial, fill=20, font=large, anchor="ls")
    left = 100 + round(large.getlength(initial)) + 6
    for number, text in enumerate((beginning, *PROSE)):
        start = left if number < lines else 100
        draw.text((start, 150 + number * pitch), text, fill=20, font=small, anchor="ls")
    return page


@pytest.mark.parametrize(("lines", "font"), [(2, SANS), (3, SERIF)])
@pytest.mark.parametrize(("initial", "beginning", "word"), BEGINNINGS)
def test_a_printed_one_is_read_with_its_word(
    initial: str, beginning: str, word: str, lines: int, font: str, tmp_path: Path
) -> None:
    printed(initial, beginning, font, lines).save(tmp_path / "page.png")
    found = words(read(tmp_path / "page.png"))
    assert found[0] == word
    assert initial.lower() not in found[:3]


@pytest.mark.parametrize(("initial", "beginning", "word"), BEGINNINGS)
def test_one_of_a_pdf_is_joined_to_its_word(initial: str, beginning: str, word: str, tmp_path: Path) -> None:
    sheet = Sheet().draw(f"BT /F1 52 Tf 60 782 Td ({initial}) Tj ET").draw(body())
    text = f"BT /F1 14 Tf 115 806 Td ({beginning}) Tj 0 -20 Td (because the town has streets) Tj ET"
    left = {"W": 111, "R": 99, "T": 94, "A": 97}[initial]
    page = read(sheet.draw(text.replace("115", str(left))).save(tmp_path / "page.pdf"))
    assert word in words(page)
    assert initial.lower() not in words(page) or initial.lower() in WORDS
    assert not page.warnings


@pytest.mark.parametrize(("initial", "rest", "wanted"), TWO_WORDS)
def test_one_that_is_a_word_stays_one(initial: str, rest: str, wanted: list[str]) -> None:
    place = {"page": 1, "block": 1, "paragraph": 1, "line": 1, "word": 1, "confidence": 100.0}
    large = Word(text=initial, box=Box(left=100, top=100, width=60, height=80), **place)
    small = Word(text=rest.split(maxsplit=1)[0], box=Box(left=166, top=102, width=90, height=24), **place)
    assert [word.text.lower() for word in joined([large, small], vocabulary(("eng",)))] == wanted


def test_headings_and_plain_pages_have_none() -> None:
    heading = printed("", "Some text")
    ImageDraw.Draw(heading).text((100, 700), "LARGE HEADING", fill=20, font=ImageFont.truetype(SANS, 110))
    for page in (np.asarray(scan()), np.asarray(heading)):
        assert lowered(page, 22.0) is None
