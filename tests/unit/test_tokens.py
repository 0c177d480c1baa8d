from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given, strategies as st
from icu4py import icu_version

from inktally.delivery import Counting
from inktally.document import Box, Engine, Page, Recognition, Section, Token, Word
from inktally.tokens import RULES, VERSION, counted_tokens, tokenise, version_of

BOX = Box(left=0, top=0, width=1, height=1)


def word(text: str, line: int = 1, confidence: float = 90, page: int = 1) -> Word:
    return Word(text=text, confidence=confidence, page=page, block=1, paragraph=1, line=line, word=1, box=BOX)


def texts(*words: str | Word) -> list[str]:
    return [token.text for token in tokenise([word(each) if isinstance(each, str) else each for each in words])]


def lines(*each: str) -> list[str]:
    """The tokens of single words, each on a line of its own."""
    return texts(*(word(text, line) for line, text in enumerate(each, start=1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't", ["don't"]),
        ("3.14", ["3.14"]),
        ("1,000", ["1,000"]),
        ("U.S.A.", ["U.S.A"]),
        ("l'été", ["l'été"]),
        ("l'avion", ["l'avion"]),
        ("Übung", ["Übung"]),
        ("U\u0308bung", ["Übung"]),
        ("q\u0307\u0323", ["q\u0323\u0307"]),
        ("हिन्दी", ["हिन्दी"]),
        ("한국어", ["한국어"]),
        ("שלום", ["שלום"]),
        ("東京タワーに。", ["東京タワー", "に"]),
        ("我们在北京大学学习汉语", ["我们", "在", "北京", "大学", "学习", "汉语"]),
        ("สวัสดีครับผมชื่อสมชาย", ["สวัสดี", "ครับ", "ผม", "ชื่อ", "สมชาย"]),
        ("ຂ້ອຍມັກພາສາລາວ", ["ຂ້ອຍ", "ມັກ", "ພາສາ", "ລາວ"]),
        ("\U00010000\U00010001\U0001f600b", ["\U00010000\U00010001", "b"]),
        ("well-known", ["well", "known"]),
        ("and/or", ["and", "or"]),
        ("a\u2014b", ["a", "b"]),
        ("snake_case", ["snake_case"]),
        ("e-mail:name@host.org", ["e", "mail:name", "host.org"]),
        ("A4", ["A4"]),
    ],
)
def test_words_divide_at_unicodes_word_boundaries(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufb01n", ["fin"]),
        ("Wa\u017f\u017fer", ["Wasser"]),
        ("\uff21\uff22\uff23", ["ABC"]),
        ("\u338f", ["kg"]),
        ("H\u2082O", ["H2O"]),
        ("1\u00aa", ["1a"]),
        ("\u2169\u2163", ["XIV"]),
        ("hy\u00adphen", ["hyphen"]),
        ("hyphen\u00ad", ["hyphen"]),
        ("\ufeffword\u200f", ["word"]),
        ("\u0915\u094d\u200d", ["\u0915\u094d"]),
    ],
)
def test_one_word_has_one_spelling(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tea\u2122", ["Tea", "TM"]),
        ("treaty\u00b9", ["treaty", "1"]),
        ("10\u207b\u00b9\u00b2", ["10", "12"]),
        ("40m\u00b2", ["40m", "2"]),
        ("40\u33a1", ["40", "m", "2"]),
        ("2\u00bd", ["2", "1\u20442"]),
        ("\u2460\u2461a", ["1", "2", "a"]),
        ("20\u2103", ["20", "C"]),
        ("\u21165", ["No", "5"]),
    ],
)
def test_a_sign_that_is_spelled_out_does_not_join_its_neighbours(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_words_of_scripts_without_spaces_are_found_across_what_an_engine_cut() -> None:
    tokens = tokenise([word("北", 1, 90), word("京大", 2, 70), word("学", 2, 80)])
    assert [(token.text, token.words, token.confidence) for token in tokens] == [
        ("北京", (0, 1), 70),
        ("大学", (1, 2), 70),
    ]


def test_words_of_scripts_without_spaces_end_with_their_paragraph() -> None:
    below = word("京").model_copy(update={"paragraph": 2})
    assert texts(word("北"), below) == ["北", "京"]
    assert texts("東", "A", "京") == ["東", "A", "京"]


@pytest.mark.parametrize(
    "text", ["", " ", "\t", "\n", '"', "'", "...", "\u2014", "__", "\u0301", "\u00ad", "\U0001f600"]
)
def test_what_holds_no_letter_and_no_digit_is_no_word(text: str) -> None:
    assert texts(text) == []


@pytest.mark.parametrize("text", ["None", "NA", "nan", "null", "True", "inf", "0"])
def test_words_that_look_like_missing_values_are_words(text: str) -> None:
    assert texts(text) == [text]


def test_a_quotation_mark_swallows_nothing() -> None:
    assert texts('"', "Stop", '"', '"Go"', 'a"b') == ["Stop", "Go", "a", "b"]


@pytest.mark.parametrize("apostrophe", ["'", "\u2019", "\u2018", "\u02bc", "\uff07"])
def test_an_apostrophe_stays_inside_a_word_and_not_around_it(apostrophe: str) -> None:
    assert texts(f"{apostrophe}don{apostrophe}t{apostrophe}") == ["don't"]


def test_underscores_stand_inside_a_word_only() -> None:
    assert texts("_a_b_") == ["a_b"]


@pytest.mark.parametrize("hyphen", ["-", "\u00ad", "\u2010", "\u2011", "\u00ac", "\u2e17"])
def test_a_hyphen_at_a_lines_end_joins_both_halves(hyphen: str) -> None:
    assert lines(f"exam{hyphen}", "ple") == ["example"]


def test_halves_join_when_the_second_is_lower_case_or_both_are_upper_case() -> None:
    assert lines("Recog-", "nised") == ["Recognised"]
    assert lines("RECOG-", "NISED") == ["RECOGNISED"]
    assert lines("Anglo-", "Saxon") == ["Anglo", "Saxon"]
    assert lines("U-", "Boot") == ["U", "Boot"]
    assert lines("COVID-", "19") == ["COVID", "19"]


def test_only_one_hyphen_after_a_letter_joins() -> None:
    assert lines("wait--", "what") == ["wait", "what"]
    assert lines("3-", "way") == ["3", "way"]
    assert lines("-", "way") == ["way"]
    assert lines("exam-)", "ple") == ["exam", "ple"]


def test_halves_join_within_a_page_and_over_a_lines_end_only() -> None:
    assert texts(word("exam-", line=1), word("ple", line=1)) == ["exam", "ple"]
    assert texts(word("exam-", line=1, page=1), word("ple", line=1, page=2)) == ["exam", "ple"]


def test_blank_words_between_the_halves_do_not_part_them() -> None:
    assert lines("exam-", " ", "ple") == ["example"]


def test_a_word_may_be_divided_over_more_than_two_lines() -> None:
    [token] = tokenise([word("inter-", 1, 90), word("na-", 2, 50), word("tional", 3, 70)])
    assert token == Token(text="international", confidence=50, words=(0, 1, 2))


def test_a_joined_word_points_at_both_halves_and_its_neighbours_at_their_own() -> None:
    tokens = tokenise([word("(and/exam-", 1, 80), word("ple),then", 2, 60)])
    assert [(token.text, token.words, token.confidence) for token in tokens] == [
        ("and", (0,), 80),
        ("example", (0, 1), 60),
        ("then", (1,), 60),
    ]


def test_tokens_come_in_reading_order_and_point_at_their_words() -> None:
    tokens = tokenise([word("The"), word("|"), word("well-known"), word("end.")])
    assert [(token.text, token.words) for token in tokens] == [
        ("The", (0,)),
        ("well", (2,)),
        ("known", (2,)),
        ("end", (3,)),
    ]


def test_words_recognised_less_surely_are_not_counted() -> None:
    unsure = [word("sure", confidence=50), word("unsure", confidence=49.99)]
    assert [token.text for token in tokenise(unsure, min_confidence=50)] == ["sure"]


@pytest.mark.parametrize("confidences", [(90, 40), (40, 90)])
def test_a_joined_word_is_counted_whole_or_not_at_all(confidences: tuple[float, float]) -> None:
    halves = [word("exam-", 1, confidences[0]), word("ple", 2, confidences[1])]
    assert tokenise(halves, min_confidence=50) == []
    assert [token.text for token in tokenise(halves, min_confidence=40)] == ["example"]


@pytest.mark.parametrize(("told", "kept"), [(-1, 0), (0, 0), (100, 100), (101, 100), (math.nan, 0), (math.inf, 100)])
def test_confidence_is_kept_between_0_and_100(told: float, kept: float) -> None:
    [token] = tokenise([word("word").model_copy(update={"confidence": told})])
    assert token.confidence == kept


def test_characters_newer_than_this_pythons_unicode_separate_words() -> None:
    newer = "\U0003fffd"
    assert unicodedata.category(newer) == "Cn"
    assert texts(f"a{newer}b") == ["a", "b"]


def test_the_rules_are_named_with_their_version_and_unicodes() -> None:
    assert f"inktally.tokens/2 unicode/{unicodedata.unidata_version} icu/{icu_version}" == RULES
    assert version_of(RULES) == VERSION


def test_no_words_give_no_tokens() -> None:
    assert tokenise([]) == []


@given(st.lists(st.tuples(st.text(max_size=12), st.integers(1, 3), st.floats()), max_size=12), st.floats(0, 100))
def test_any_text_gives_clean_tokens(told: list[tuple[str, int, float]], least: float) -> None:
    words = [word(text, line, 0).model_copy(update={"confidence": sure}) for text, line, sure in told]
    tokens = tokenise(words, least)
    assert tokens == tokenise(words, least)
    for token in tokens:
        assert any(character.isalnum() for character in token.text)
        assert not any(character.isspace() for character in token.text)
        assert token.text == token.text.strip("'_\u00ad\u200c\u200d")
        assert least <= token.confidence <= 100
        assert list(token.words) == sorted(set(token.words))
        assert all(0 <= index < len(words) for index in token.words)
    assert [token.words for token in tokens] == sorted(token.words for token in tokens)


@given(st.text(alphabet="ab-'_. \u00ad\u0301\u200d\u03a3\u00c4", max_size=10))
def test_a_token_is_a_token_again(text: str) -> None:
    for token in texts(text):
        assert texts(token) == [token]


@pytest.mark.parametrize(
    "text",
    ["a" + "\u0301\u0316" * 3000, "\U0001f1e9" * 3000, "a" * 9000 + "1-", "'" * 9000, "東" * 9000, "\u33a1" * 9000],
)
def test_hostile_words_take_no_hostile_time(text: str) -> None:
    tokenise([word(text), word("b", line=2)])


def test_a_thousand_divided_lines_are_one_word() -> None:
    [token] = tokenise([word("abc-", line) for line in range(1000)])
    assert len(token.words) == 1000


def with_margins() -> Recognition:
    """A page whose header stands between the two halves of a word of its body."""
    kinds = ("body", "header", "body", "page-number")
    sections = tuple(Section(number=number, kind=kind, box=BOX) for number, kind in enumerate(kinds, 1))
    texts_of = [("inter-", 1, 1), ("Title", 2, 2), ("national", 3, 3), ("42", 4, 4)]
    words = [word(text, line).model_copy(update={"section": section}) for text, line, section in texts_of]
    page = Page(number=1, width=9, height=9, sections=sections)
    engine = Engine(name="tesseract", version="5", languages=("eng",))
    return Recognition(engine=engine, pages=(page,), words=tuple(words), text="")


def test_the_body_alone_has_no_headers_and_page_numbers() -> None:
    tokens = counted_tokens(with_margins(), Counting(body_only=True))
    assert [(token.text, token.words) for token in tokens] == [("international", (0, 2))]


def test_all_sections_are_counted_unless_the_body_alone_is_asked_for() -> None:
    assert [token.text for token in counted_tokens(with_margins(), Counting())] == ["inter", "Title", "national", "42"]


def test_a_page_without_sections_is_all_body() -> None:
    read = with_margins()
    plain = read.model_copy(update={"pages": (Page(number=1, width=9, height=9),)})
    assert len(counted_tokens(plain, Counting(body_only=True))) == 4
