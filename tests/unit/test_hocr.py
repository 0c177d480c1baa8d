"""hOCR is read by editors of recognised text and by makers of PDFs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st
from lxml import etree

from inktally.document import Box, Section
from inktally.outputs import hocr
from inktally.outputs.shared.layout import Reading
from tests.support.readings import a_page, a_reading, a_word

NAMES = {"h": hocr.XHTML}
ORDER = ["ocr_page", "ocr_carea", "ocr_par", "ocr_line", "ocrx_word"]


def written(reading: Reading) -> Any:
    return etree.fromstring(hocr.write(reading))


def found(root: Any, path: str) -> list[Any]:
    result: list[Any] = root.xpath(path, namespaces=NAMES)
    return result


def texts(root: Any, name: str) -> list[str]:
    return [" ".join("".join(each.itertext()).split()) for each in found(root, f"//h:*[@class='{name}']")]


def test_a_word_stands_in_a_line_of_a_paragraph_of_an_area_of_a_page() -> None:
    [word] = found(written(a_reading("owl")), "//h:span[@class='ocrx_word']")
    above = [each.get("class") for each in word.iterancestors() if each.get("class")]
    assert [*reversed(above), word.get("class")] == ORDER
    assert word.get("title") == "bbox 100 100 400 150; x_wconf 92"
    assert word.text == "owl"


def test_lines_paragraphs_and_areas_hold_their_words_in_boxes_around_them() -> None:
    words = [a_word("a", 0), a_word("b", 1), a_word("c", 4), a_word("d", 8, paragraph=2), a_word("e", 12, block=2)]
    root = written(a_reading(words=words))
    assert texts(root, "ocr_line") == ["a b", "c", "d", "e"]
    assert texts(root, "ocr_par") == ["a b c", "d", "e"]
    assert texts(root, "ocr_carea") == ["a b c d", "e"]
    assert found(root, "//h:div[@class='ocr_carea']/@title") == ["bbox 100 100 800 350", "bbox 100 400 400 450"]


def test_every_page_tells_its_number_size_and_resolution() -> None:
    root = written(a_reading("a", pages=[a_page(1), a_page(2, dpi=0)]))
    first, second = found(root, "//h:div[@class='ocr_page']/@title")
    assert first.endswith("bbox 0 0 1700 1000; ppageno 0; scan_res 300 300")
    assert second.endswith("bbox 0 0 1700 1000; ppageno 1")


def test_headers_footers_and_page_numbers_are_marked() -> None:
    box = Box(left=0, top=0, width=1, height=1)
    kinds = ("header", "body", "footer", "page-number")
    sections = tuple(Section(number=number, kind=kind, box=box) for number, kind in enumerate(kinds, 1))
    words = [a_word(kind, 4 * number, section=number + 1, line=1) for number, kind in enumerate(kinds)]
    root = written(a_reading(words=words, pages=[a_page(sections=sections)]))
    assert texts(root, "ocr_carea") == list(kinds)
    for name, text in (("ocr_header", "header"), ("ocr_footer", "footer"), ("ocr_pageno", "page-number")):
        assert texts(root, name) == [text]


def test_the_head_names_the_engine_the_languages_and_what_is_marked_up() -> None:
    root = written(a_reading("a", languages=["eng", "frk", "script/Latin"]))
    metas = {meta.get("name"): meta.get("content") for meta in found(root, "//h:meta[@name]")}
    assert metas["ocr-system"] == "tesseract 5.3.0"
    assert metas["ocr-langs"] == "eng de-Latf unknown"
    assert set(ORDER) <= set(metas["ocr-capabilities"].split())
    assert written(a_reading("a", languages=["deu"])).get("lang") == "deu"


@pytest.mark.parametrize(
    ("text", "expected"), [("a\x00b", "a\N{REPLACEMENT CHARACTER}b"), ("<b>&amp;", "<b>&amp;"), ("a\nb", "a b")]
)
def test_words_are_text_and_never_markup(text: str, expected: str) -> None:
    assert texts(written(a_reading(text)), "ocrx_word") == [expected]


@given(st.lists(st.text(), max_size=6))
def test_any_text_gives_well_formed_xhtml_whose_ids_are_unique(words: list[str]) -> None:
    root = written(a_reading(*words))
    assert len(found(root, "//h:span[@class='ocrx_word']")) == sum(bool(word.strip()) for word in words)
    ids = found(root, "//@id")
    assert len(ids) == len(set(ids))
    for title in found(root, "//h:*[@class='ocrx_word']/@title"):
        assert re.fullmatch(r"bbox( \d+){4}; x_wconf \d+", title)
