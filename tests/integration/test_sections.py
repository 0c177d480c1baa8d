"""Sections of a page: where it is cut, in which order it is read, and what belongs to its margins."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally.document import Box, Section, Word
from inktally.imaging.page import PageImage
from inktally.imaging.sections import assign, split
from inktally.tokens import tokenise
from tests.support.typesetting import Sheet


@pytest.fixture
def sheet() -> Sheet:
    return Sheet()


def kinds(sheet: Sheet) -> list[str]:
    return [section.kind for section in split(sheet.page)]


def texts(words: list[Word], section: int) -> list[str]:
    return [word.text for word in words if word.section == section]


def test_a_plain_page_is_one_body_that_covers_all_of_it(sheet: Sheet) -> None:
    sheet.prose(120, 120, 1000, 45)
    [section] = split(sheet.page)
    assert section == Section(number=1, kind="body", box=Box(left=0, top=0, width=1240, height=1754))


def test_a_white_page_is_one_body(sheet: Sheet) -> None:
    assert kinds(sheet) == ["body"]


def test_a_single_line_is_one_body() -> None:
    pixels = np.full((2339, 1654), 255, np.uint8)
    line = "CPU, of which about 0.4 s is Python's garbage collection."
    drawn = Image.new("L", (1654, 80), 255)
    ImageDraw.Draw(drawn).text((200, 10), line, 25, ImageFont.load_default(65))
    pixels[200:280] = np.asarray(drawn)
    assert [section.kind for section in split(PageImage(pixels))] == ["body"]


def test_columns_are_read_one_after_the_other(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 40)
    sheet.prose(650, 120, 500, 40)
    words, sections = assign(sheet.words_by_line(), split(sheet.page))
    assert [section.kind for section in sections] == ["body", "body"]
    assert [word.text for word in words] == [word.text for word in sheet.words]
    assert {word.section for word in words if word.box.left < 620} == {1}


def test_three_narrow_columns_with_a_rule_between_them_are_three_sections(sheet: Sheet) -> None:
    for left in (80, 460, 840):
        sheet.prose(left, 120, 350, 40)
    sheet.rectangle(445, 120, 446, 1480)
    sheet.rectangle(825, 120, 826, 1480)
    words, sections = assign(sheet.words_by_line(), split(sheet.page))
    assert len(sections) == 3
    assert [word.text for word in words] == [word.text for word in sheet.words]


def test_columns_of_a_page_that_is_not_quite_upright_are_found(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 40)
    sheet.prose(650, 120, 500, 40)
    height, width = sheet.page.pixels.shape
    shift = (np.arange(height) - height // 2) // 150  # 0.4 degrees
    leaning = np.stack([np.roll(row, by) for row, by in zip(sheet.page.pixels, shift, strict=True)])
    assert leaning.shape == (height, width)
    assert [section.kind for section in split(PageImage(leaning))] == ["body", "body"]


def test_a_headline_over_the_columns_is_read_before_them(sheet: Sheet) -> None:
    sheet.line(120, 300, "A flood in the lower valley sweeps the mill away", size=44)
    sheet.prose(100, 420, 500, 34)
    sheet.prose(650, 420, 500, 34)
    words, sections = assign(sheet.words_by_line(), split(sheet.page))
    assert [section.kind for section in sections] == ["body"] * 3
    assert [word.text for word in words] == [word.text for word in sheet.words]


def test_a_caption_between_the_columns_does_not_end_them(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 16)
    sheet.prose(100, 120 + 16 * 34, 400, 5)
    sheet.prose(100, 120 + 21 * 34, 500, 16)
    sheet.prose(650, 120, 500, 16)
    sheet.prose(750, 120 + 16 * 34, 400, 5)
    sheet.prose(650, 120 + 21 * 34, 500, 16)
    for number, text in enumerate(("the mill", "as it was", "last year")):
        sheet.line(575, 120 + 17 * 34 + number * 34, text)
    words, sections = assign(sheet.words_by_line(), split(sheet.page))
    assert len(sections) == 3
    assert texts(words, 3) == ["the", "mill", "as", "it", "was", "last", "year"]
    assert [word.text for word in words] == [word.text for word in sheet.words]


def test_a_rule_across_ends_the_columns(sheet: Sheet) -> None:
    for top in (120, 820):
        for left in (100, 650):
            sheet.prose(left, top, 500, 18)
    sheet.rectangle(100, 770, 1150, 774)
    words, sections = assign(sheet.words_by_line(), split(sheet.page))
    assert len(sections) == 4
    assert [word.text for word in words] == [word.text for word in sheet.words]


def test_the_rows_of_a_table_stay_together(sheet: Sheet) -> None:
    for row in range(30):
        for column, text in enumerate((f"Sector {row}", f"{row * 37}", f"{row * 11}", "none", f"{row}%")):
            sheet.line(100 + column * 230, 200 + row * 40, text)
    assert kinds(sheet) == ["body"]


def test_numbers_beside_the_lines_stay_with_them(sheet: Sheet) -> None:
    for row in range(25):
        sheet.line(100, 300 + row * 40, str(row + 1))
        sheet.prose(180, 300 + row * 40, 900, 1)
    assert kinds(sheet) == ["body"]


def test_spaces_that_stand_below_each_other_are_no_gutter(sheet: Sheet) -> None:
    for row in range(36):
        aligned = 14 <= row < 22
        sheet.prose(120, 120 + row * 34, 480 if aligned else 1000, 1)
        if aligned:
            sheet.prose(625, 120 + row * 34, 480, 1)
    assert kinds(sheet) == ["body"]


def test_header_footer_and_page_numbers_are_marked(sheet: Sheet) -> None:
    sheet.line(100, 80, "46")
    sheet.line(480, 80, "THE LOWER VALLEY")
    sheet.prose(100, 180, 1000, 38)
    sheet.line(480, 1560, "printed by the river")
    words, sections = assign(sheet.words, split(sheet.page))
    assert [section.kind for section in sections] == ["page-number", "header", "body", "footer"]
    assert texts(words, 1) == ["46"]
    assert texts(words, 2) == ["THE", "LOWER", "VALLEY"]
    assert texts(words, 4) == ["printed", "by", "the", "river"]


def test_a_number_below_the_text_is_a_page_number(sheet: Sheet) -> None:
    sheet.prose(100, 180, 1000, 38)
    sheet.line(600, 1500, "17")
    _, sections = assign(sheet.words, split(sheet.page))
    assert [section.kind for section in sections] == ["body", "page-number"]


def test_the_short_last_line_of_a_paragraph_at_the_top_is_no_header(sheet: Sheet) -> None:
    sheet.line(100, 100, "as it had always done")
    sheet.prose(100, 180, 1000, 38)
    assert kinds(sheet) == ["body"]


def test_its_words_decide_whether_a_header_is_a_page_number() -> None:
    def word(text: str) -> Word:
        box = Box(left=500, top=50, width=20, height=20)
        return Word(text=text, confidence=90.0, page=1, block=1, paragraph=1, line=1, word=1, box=box)

    guess = Section(number=1, kind="page-number", box=Box(left=490, top=40, width=60, height=40))
    body = Section(number=2, kind="body", box=Box(left=0, top=90, width=1000, height=900))
    for text, kind in (("17", "page-number"), ("xviii", "page-number"), ("— 8 —", "page-number"), ("ODE", "header")):
        _, sections = assign([word(text)], [guess, body])
        assert [section.kind for section in sections] == [kind]


def test_a_word_outside_all_sections_goes_to_the_nearest(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 40)
    sheet.prose(650, 120, 500, 40)
    sections = split(sheet.page)
    sheet.line(1160, 400, "late")
    words, _ = assign(sheet.words, sections)
    assert [word.section for word in words if word.text == "late"] == [2]


def test_a_word_parted_by_the_end_of_a_column_is_one_word(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 39)
    sheet.line(100, 120 + 39 * 34, "he brought the flour to the neigh-")
    sheet.line(650, 120, "bour who had waited for it long")
    sheet.prose(650, 154, 500, 39)
    words, _ = assign(sheet.words_by_line(), split(sheet.page))
    assert "neighbour" in [token.text for token in tokenise(words)]


def test_no_line_goes_on_from_one_section_into_another(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 40)
    sheet.prose(650, 120, 500, 40)
    as_read = [word.model_copy(update={"line": word.box.top // 34}) for word in sheet.words_by_line()]
    words, _ = assign(as_read, split(sheet.page))
    by_line: dict[tuple[int, int, int, int], set[int]] = {}
    for word in words:
        by_line.setdefault(word.line_id, set()).add(word.section)
    assert all(len(sections) == 1 for sections in by_line.values())


def test_grey_and_colour_are_cut_alike(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 40)
    sheet.prose(650, 120, 500, 40)
    colour = PageImage(np.repeat(sheet.page.pixels[:, :, None], 3, axis=2))
    assert split(colour) == split(sheet.page)


def test_a_page_at_300_dpi_takes_less_than_a_third_of_a_second(sheet: Sheet) -> None:
    sheet.prose(100, 120, 500, 40)
    sheet.prose(650, 120, 500, 40)
    page = PageImage(sheet.page.pixels.repeat(2, axis=0).repeat(2, axis=1))
    began = time.process_time()
    split(page)
    assert time.process_time() - began < 0.33
