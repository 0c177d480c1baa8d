"""How likely words are right, and how well a page was read."""

from __future__ import annotations

import numpy as np
import pytest

from inktally.document import Box, Word
from inktally.reading.quality import coverage, judged, quality
from inktally.reading.vocabulary import vocabulary, with_long_s

ENGLISH = vocabulary(("eng",))
BOX = Box(left=0, top=0, width=100, height=20)


def word(text: str, confidence: float = 90.0, box: Box = BOX) -> Word:
    return Word(text=text, confidence=confidence, page=1, block=1, paragraph=1, line=1, word=1, box=box)


def chance(text: str, confidence: float = 90.0, engine: str = "tesseract", company: str = "the") -> float:
    words = [word(text, confidence), *[word(company)] * 20]
    return judged(words, engine, ENGLISH)[0].chance


@pytest.mark.parametrize("engine", ["tesseract", "rapidocr", "some other"])
def test_a_common_word_is_likelier_right_than_a_rare_one_and_that_than_none(engine: str) -> None:
    chances = [chance(text, engine=engine) for text in ("house", "parsonage", "hcuse")]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.5


@pytest.mark.parametrize("engine", ["tesseract", "rapidocr", "some other"])
def test_the_surer_the_engine_the_likelier_the_word(engine: str) -> None:
    chances = [chance("parsonage", confidence, engine) for confidence in (0, 50, 90, 99, 100)]
    assert chances == sorted(chances)
    assert 0 < chances[0] < chances[-1] < 1


def test_punctuation_capitals_and_ligatures_make_no_word_unknown() -> None:
    assert ENGLISH.frequency("“First,”") == ENGLISH.frequency("ﬁrst") == ENGLISH.frequency("FIRST") > 0
    assert ENGLISH.frequency("don’t") == ENGLISH.frequency("don't") > 0
    assert ENGLISH.frequency("12.50") == 0


def test_numbers_are_not_held_to_be_misread_words() -> None:
    assert chance("12.50") > chance("qfxz")
    assert chance("RM12.50") > chance("qfxz")


def test_on_a_page_that_came_out_badly_no_word_is_safe() -> None:
    assert chance("house", company="thc") < chance("house")


def test_what_only_tesseract_sees_is_less_likely_than_what_nobody_else_has_looked_for() -> None:
    (seen,) = judged([word("house")], "tesseract", ENGLISH)
    assert seen.alone < seen.chance


def test_without_a_list_of_words_nothing_is_held_against_a_word() -> None:
    nothing = vocabulary(("tlh",))
    assert not nothing
    first, second = judged([word("house"), word("qapla")], "tesseract", nothing)
    assert first.chance == second.chance


def test_coverage_is_the_share_of_letters_in_boxes_of_words() -> None:
    letters = np.array([[10, 5, 8, 10], [40, 5, 8, 10], [300, 5, 8, 10], [10, 300, 8, 10]], np.float32)
    assert coverage([word("house")], letters) == 0.5
    assert coverage([], letters) == 0.0
    assert coverage([], letters[:0]) == 1.0


def test_a_column_that_was_taken_for_one_word_is_not_covered() -> None:
    digits = np.array([[10, 20 * row, 8, 10] for row in range(30)], np.float32)
    column = word("7", box=Box(left=5, top=0, width=20, height=600))
    assert coverage([column], digits) == 0.0
    assert coverage([column], digits[:2]) == 1.0


def test_a_page_is_as_good_as_its_words_and_as_what_was_found_of_it() -> None:
    assert quality([1.0, 1.0], 1.0) == 1.0
    assert quality([1.0, 1.0], 0.5) == pytest.approx(2 / 3)
    assert quality([0.5, 0.5], 1.0) == pytest.approx(0.5)
    assert quality([], 0.0) == 0.0
    assert quality([], 1.0) == 1.0


@pytest.mark.parametrize(
    ("read", "printed"), [("fich", "sich"), ("ift", "ist"), ("unfere,", "unsere,"), ("auf", "auf"), ("für", "für")]
)
def test_in_fraktur_a_long_s_that_was_taken_for_an_f_is_an_s(read: str, printed: str) -> None:
    german = vocabulary(("frk",))
    assert [each.text for each in with_long_s([word(read)], ["frk"], german)] == [printed]
    assert [each.text for each in with_long_s([word(read)], ["deu"], german)] == [read]
