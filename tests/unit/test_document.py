"""The documents are read by other people's programs: their form is promised, and the same facts give the same bytes."""

from __future__ import annotations

import json
import runpy
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from inktally.delivery import Counting, Problem, StoredObject
from inktally.document import CountedWord, CountsDocument, Engine, WordCounts
from inktally.outputs import word_counts
from inktally.outputs.word_counts import counts_document, counts_json, counts_schema, failure_reason
from inktally.tokens import RULES

SHIPPED_SCHEMA = files("inktally") / "schemas" / "word_counts.schema.json"
SOURCE = "s3://pictures/input/Caf\N{LATIN SMALL LETTER E WITH ACUTE} 100% + wine.png"
PICTURE = StoredObject(key="input/x.png", etag="d41d8", size=12, version="v1", modified="2026-11-20T10:00:00Z", age=5)
ENGINE = Engine(name="tesseract", version="5.3.0", languages=("eng", "deu"), models={"eng": "ab"})


def a_document(*words: tuple[str, int], min_confidence: float = 0.0, picture: StoredObject = PICTURE) -> CountsDocument:
    counts = WordCounts(words=tuple(CountedWord(word=word, count=count, confidence=90.0) for word, count in words))
    return counts_document(
        source=SOURCE,
        picture=picture,
        engine=ENGINE,
        pages=1,
        counts=counts,
        counting=Counting(min_confidence=min_confidence),
    )


def shipped_schema() -> Any:
    return json.loads(SHIPPED_SCHEMA.read_text(encoding="utf-8"))


def validate(document: Any) -> None:
    jsonschema.Draft202012Validator(shipped_schema()).validate(document)


class TestSchema:
    def test_the_shipped_schema_is_the_one_the_model_gives(self) -> None:
        assert SHIPPED_SCHEMA.read_text(encoding="utf-8") == counts_schema()

    def test_the_command_writes_the_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        runpy.run_path(word_counts.__file__, run_name="__main__")
        assert capsys.readouterr().out == counts_schema()

    def test_the_schema_is_a_schema_of_draft_2020_12(self) -> None:
        assert shipped_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(shipped_schema())

    @given(
        st.lists(st.tuples(st.text(min_size=1), st.integers(1, 10**9)), max_size=5),
        st.floats(min_value=0, max_value=100),
    )
    def test_every_document_validates_and_comes_back_unchanged(
        self, words: list[tuple[str, int]], min_confidence: float
    ) -> None:
        document = a_document(*words, min_confidence=min_confidence)
        written = counts_json(document)
        validate(json.loads(written))
        assert CountsDocument.model_validate_json(written) == document

    @pytest.mark.parametrize(
        "change",
        [
            {"schema": "inktally.word-counts/2"},
            {"words": [{"word": "a"}]},
            {"extra": 1},
            {"size": -1},
            {"min_confidence": 101},
            {"fingerprint": "short"},
        ],
    )
    def test_another_form_does_not_validate(self, change: dict[str, Any]) -> None:
        changed = json.loads(counts_json(a_document(("a", 1)))) | change
        with pytest.raises(jsonschema.ValidationError):
            validate(changed)
        with pytest.raises(ValidationError):
            CountsDocument.model_validate(changed)

    def test_a_document_without_any_one_of_its_fields_does_not_validate(self) -> None:
        document = json.loads(counts_json(a_document(("a", 1))))
        for name in document:
            with pytest.raises(jsonschema.ValidationError):
                validate({key: value for key, value in document.items() if key != name})


class TestCountsDocument:
    def test_it_tells_the_facts(self) -> None:
        document = json.loads(counts_json(a_document(("a", 3), ("b", 1), min_confidence=30)))
        assert document == {
            "schema": "inktally.word-counts/1",
            "source": SOURCE,
            "etag": "d41d8",
            "size": 12,
            "version": "v1",
            "engine": json.loads(ENGINE.model_dump_json()),
            "fingerprint": ENGINE.fingerprint,
            "tokeniser": RULES,
            "min_confidence": 30.0,
            "body_only": False,
            "pages": 1,
            "total": 4,
            "distinct": 2,
            "mean_confidence": 90.0,
            "warnings": [],
            "words": [
                {"word": "a", "count": 3, "confidence": 90.0},
                {"word": "b", "count": 1, "confidence": 90.0},
            ],
        }

    def test_words_stand_by_falling_count_then_by_code_point(self) -> None:
        document = a_document(
            ("z", 1), ("é", 1), ("a", 1), ("often", 2), ("\N{CJK UNIFIED IDEOGRAPH-20000}", 1), ("ﬀ", 1)
        )
        assert [entry.word for entry in document.words] == [
            "often",
            "a",
            "z",
            "é",
            "ﬀ",
            "\N{CJK UNIFIED IDEOGRAPH-20000}",
        ]

    def test_it_does_not_depend_on_when_it_was_made(self) -> None:
        later = PICTURE.model_copy(update={"age": 500.0, "modified": "2027-01-01T00:00:00Z"})
        assert counts_json(a_document(("a", 1))) == counts_json(a_document(("a", 1), picture=later))

    def test_a_counted_word_is_a_line_of_utf_8(self) -> None:
        lines = counts_json(a_document(("שלום", 2), ("naïve", 1))).decode().splitlines()
        assert '    {"word": "שלום", "count": 2, "confidence": 90.0},' in lines
        assert '    {"word": "naïve", "count": 1, "confidence": 90.0}' in lines

    def test_a_picture_without_words_has_no_mean_confidence(self) -> None:
        document = json.loads(counts_json(a_document()))
        validate(document)
        assert (document["total"], document["words"], document["mean_confidence"]) == (0, [], None)


def test_the_reason_of_a_failure_names_the_picture_and_the_problem() -> None:
    problem = Problem(kind="TooLarge", message="12 \N{MULTIPLICATION SIGN} 12 is too large.")
    assert json.loads(failure_reason(source=SOURCE, picture=PICTURE, problem=problem)) == {
        "schema": "inktally.failure/1",
        "source": SOURCE,
        "etag": "d41d8",
        "size": 12,
        "version": "v1",
        "kind": "TooLarge",
        "message": problem.message,
    }
