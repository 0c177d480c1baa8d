"""Which outputs there are, and the plain ones among them: text, coordinates, and the table of counts."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, strategies as st

from inktally import keys
from inktally.document import Box, Section, Step, Token
from inktally.errors import BadSettings
from inktally.outputs import NAMES, chosen, word_counts_csv
from inktally.outputs.shared import coordinates, tables
from inktally.outputs.shared.layout import Reading
from inktally.outputs.shared.registry import OUTPUTS
from inktally.settings import Settings, read_settings
from tests.support.readings import SOURCE, a_page, a_reading, a_word

FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")


class TestNames:
    def test_they_are_separated_by_commas_and_each_counts_once(self) -> None:
        assert chosen(" pdf, hocr,pdf,") == ("hocr", "pdf")

    @pytest.mark.parametrize("names", ["hocr,docx", "PDF", "hocr pdf"])
    def test_an_unknown_one_is_told_with_those_that_are_known(self, names: str) -> None:
        with pytest.raises(BadSettings, match=f"There is no output .*; there are: {', '.join(NAMES)}"):
            chosen(names)

    @pytest.mark.parametrize("names", ["", " , "])
    def test_at_least_one_must_be_named(self, names: str) -> None:
        with pytest.raises(BadSettings, match="At least one output must be named"):
            chosen(names)

    def test_a_wrong_setting_is_told_by_its_name(self) -> None:
        with pytest.raises(BadSettings, match=r"INKTALLY_OUTPUTS.*There is no output 'docx'; there are: alto"):
            read_settings(outputs="plain_text,docx")

    def test_the_setting_and_its_description_name_every_output(self) -> None:
        field = Settings.model_fields["outputs"]
        assert [name for name in NAMES if name not in f"{field.default} {field.description}"] == []

    def test_each_has_a_key_of_its_own_and_none_is_too_long_for_s3(self) -> None:
        assert set(OUTPUTS) == set(NAMES)
        assert len({output.key("book/12.png") for output in OUTPUTS.values()}) == len(OUTPUTS)
        longest = "字" * ((keys.MAX_KEY_BYTES - len("input/")) // 3)
        assert all(len(output.key(longest).encode()) <= keys.MAX_KEY_BYTES for output in OUTPUTS.values())

    @given(st.text(min_size=1, max_size=400))
    def test_any_name_of_a_picture_gives_a_key_that_s3_takes_and_that_tells_it_from_others(self, name: str) -> None:
        for output in OUTPUTS.values():
            assert len(output.key(name).encode()) <= keys.MAX_KEY_BYTES
            assert output.key(name) != output.key(name + "x")


class TestCountsTable:
    def rows(self, reading: Reading) -> list[list[str]]:
        return list(csv.reader(io.StringIO(word_counts_csv.table(reading.counts).decode("utf-8-sig"), newline="")))

    def test_it_has_a_heading_and_a_line_a_word_as_rfc_4180_has_it(self) -> None:
        written = word_counts_csv.table(a_reading("naïve", 'say "so", then').counts)
        assert written.startswith(b"\xef\xbb\xbf")
        assert written.decode("utf-8-sig").split("\r\n") == [
            '"word","count","confidence"',
            '"naïve",1,90.0',
            '"say ""so"", then",1,90.0',
            "",
        ]

    @pytest.mark.parametrize(
        "text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\n=1", "＝1", "\xa0=1", "\x00=1"]
    )
    def test_what_would_be_a_formula_gets_an_apostrophe(self, text: str) -> None:
        assert tables.harmless(text).startswith("'")

    @pytest.mark.parametrize("text", ["owl", "don't", "a=b", "3-4", "1e5", "naïve", "ſo"])
    def test_other_words_are_left_alone(self, text: str) -> None:
        assert tables.harmless(text) == text

    @given(
        st.lists(st.one_of(st.text(), st.builds(str.__add__, st.sampled_from(FORMULA_STARTS), st.text())), max_size=5)
    )
    def test_whatever_was_counted_there_is_one_line_a_word_and_no_formula(self, words: list[str]) -> None:
        reading = a_reading(*words)
        lines = word_counts_csv.table(reading.counts).decode("utf-8-sig").splitlines()
        rows = self.rows(reading)
        assert len(lines) == len(rows) == len(words) + 1
        assert [cell for row in rows for cell in row if cell.lstrip().startswith(FORMULA_STARTS)] == []

    @given(st.lists(st.text(), max_size=5), st.sampled_from(";\t|"))
    def test_no_line_starts_with_a_formula_for_a_program_that_separates_otherwise(
        self, words: list[str], separator: str
    ) -> None:
        text = word_counts_csv.table(a_reading(*words).counts).decode("utf-8-sig")
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            assert not row[0].lstrip().startswith(FORMULA_STARTS)


class TestCoordinates:
    def test_json_leads_from_each_recognised_word_to_the_words_counted(self) -> None:
        reading = a_reading("Well-known,", "—", "Hyphen-", "ated")
        tokens = [
            Token(text="Well", confidence=91.5, words=(0,)),
            Token(text="known", confidence=91.5, words=(0,)),
            Token(text="HyphenATED", confidence=91.5, words=(2, 3)),
        ]
        document = json.loads(coordinates.as_json(Reading(reading.recognition, tokens, reading.counts)))
        assert document["schema"] == "inktally.coordinates/1"
        assert document["source"] == SOURCE
        assert document["engine"]["version"] == "5.3.0"
        assert document["fingerprint"] == reading.recognition.engine.fingerprint
        assert [word["tokens"] for word in document["words"]] == [["well", "known"], [], ["hyphenated"], ["hyphenated"]]
        assert document["words"][3] == {
            "text": "ated",
            "confidence": 91.5,
            "page": 1,
            "block": 1,
            "paragraph": 1,
            "line": 1,
            "word": 4,
            "box": {"left": 1300, "top": 100, "width": 300, "height": 50},
            "section": 0,
            "tokens": ["hyphenated"],
        }

    def test_json_tells_how_each_page_was_read(self) -> None:
        section = Section(number=1, kind="header", box=Box(left=1, top=2, width=3, height=4))
        step = Step(name="deskew", parameters={"degrees": 1.5})
        page = a_page(
            languages=("eng",), engine="tesseract", reason="the first", quality=0.9, steps=(step,), sections=(section,)
        )
        document = json.loads(coordinates.as_json(a_reading(words=[a_word("a", section=1)], pages=[page])))
        assert document["pages"] == [
            {
                "number": 1,
                "width": 1700,
                "height": 1000,
                "dpi": 300,
                "source": "picture",
                "languages": ["eng"],
                "engine": "tesseract",
                "reason": "the first",
                "quality": 0.9,
                "steps": [{"name": "deskew", "parameters": {"degrees": 1.5}}],
                "sections": [{"number": 1, "kind": "header", "box": {"left": 1, "top": 2, "width": 3, "height": 4}}],
            }
        ]
        assert document["words"][0]["section"] == 1

    def test_tsv_has_a_heading_and_a_line_a_word(self) -> None:
        reading = a_reading(words=[a_word("Well-known"), a_word("—", 1, section=2)])
        tokens = [Token(text="Well", confidence=91.5, words=(0,)), Token(text="known", confidence=91.5, words=(0,))]
        assert coordinates.as_tsv(Reading(reading.recognition, tokens, reading.counts)).decode().split("\n") == [
            "page\tblock\tparagraph\tline\tword\tleft\ttop\twidth\theight\tconfidence\ttext\ttokens\tsection",
            "1\t1\t1\t1\t1\t100\t100\t300\t50\t91.5\tWell-known\twell known\t0",
            "1\t1\t1\t1\t2\t500\t100\t300\t50\t91.5\t—\t\t2",
            "",
        ]

    def test_tsv_writes_tabs_line_ends_and_backslashes_as_escapes(self) -> None:
        line = coordinates.as_tsv(a_reading("a\tb\nc\rd\\e\x00\u2028\x85")).decode().splitlines()[1]
        assert line.split("\t")[10] == r"a\tb\nc\rd\\e\u0000\u2028\u0085"

    @given(st.lists(st.text(), max_size=4))
    def test_tsv_keeps_its_columns_whatever_was_recognised(self, texts: list[str]) -> None:
        written = coordinates.as_tsv(a_reading(*texts)).decode()
        rows = list(csv.reader(io.StringIO(written), delimiter="\t", quoting=csv.QUOTE_NONE))
        assert len(written.splitlines()) == len(rows) == len(texts) + 1
        assert {len(row) for row in rows} == {13}

    def test_tsv_leaves_a_formula_as_it_was_read(self) -> None:
        assert b"\t=SUM(A1)\t" in coordinates.as_tsv(a_reading("=SUM(A1)"))


def test_plain_text_is_what_the_engine_gave() -> None:
    reading, text = a_reading(), "naïve\n\n東京\f"
    recognition, write = reading.recognition.model_copy(update={"text": text}), OUTPUTS["plain_text"].write
    assert write is not None
    assert write(Reading(recognition, (), reading.counts)).decode() == text
