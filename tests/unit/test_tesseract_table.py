"""Tesseract's TSV, which is no CSV."""

import pytest

from inktally.engines.tesseract import parse_table


def table(*texts: str) -> str:
    rows = [f"5\t1\t1\t1\t1\t{number}\t10\t20\t30\t40\t96.5\t{text}" for number, text in enumerate(texts, 1)]
    return "\n".join(["1\t1\t0\t0\t0\t0\t0\t0\t800\t600\t-1\t", *rows]) + "\n"


@pytest.mark.parametrize(
    "text", ["None", "NA", "NaN", "null", '"', '"quoted', "'", "a\tb", "1e5", "TRUE", "#", "\\", "\u2028", "\x0b", "é"]
)
def test_every_word_survives_as_it_was_read(text: str) -> None:
    words = parse_table(table("before", text, "after"))
    assert [word.text for word in words if word.text.strip()] == [w for w in ("before", text, "after") if w.strip()]


def test_blank_words_and_words_without_confidence_are_none() -> None:
    words = parse_table(table(" ", "word") + "5\t1\t1\t1\t1\t3\t0\t0\t1\t1\t-1\tghost\n")
    assert [word.text for word in words] == ["word"]


def test_a_page_without_words_has_none() -> None:
    assert parse_table(table()) == ()


def test_numbers_are_numbers() -> None:
    (word,) = parse_table(table("word"))
    assert (word.page, word.block, word.paragraph, word.line, word.word) == (1, 1, 1, 1, 1)
    assert (word.box.left, word.box.top, word.box.width, word.box.height) == (10, 20, 30, 40)
    assert word.confidence == 96.5
