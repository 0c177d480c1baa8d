"""Where things live in a store."""

import pytest

from inktally import keys
from inktally.delivery import Counting, Delivery, StoredObject, Upload
from inktally.document import Engine, sha256_of
from inktally.outputs.shared.registry import OUTPUTS
from inktally.tokens import RULES

ENGINE = Engine(name="tesseract", version="5.3.0", languages=("eng",), models={"eng": "0" * 64})


def delivery(attempt: str = "", **changes: str | int) -> Delivery:
    facts = {"key": "input/a.png", "etag": "e", "size": 1, "modified": "2026-11-20T10:00:00Z", **changes}
    picture = StoredObject.model_validate(facts)
    return Delivery(upload=Upload(key=picture.key, store="s3://b", attempt=attempt), picture=picture)


def test_outputs_keep_the_folders_and_the_suffix_of_the_picture() -> None:
    assert {name: output.key("book/12.png") for name, output in OUTPUTS.items()} == {
        "plain_text": "output/ocr_plain_text/book/12.png.txt",
        "coordinates_text": "output/ocr_coords/book/12.png.txt",
        "coordinates_json": "output/ocr_coords/book/12.png.json",
        "word_counts": "output/word_counts/book/12.png.json",
        "word_counts_csv": "output/word_counts/book/12.png.csv",
        "hocr": "output/ocr_hocr/book/12.png.hocr",
        "alto": "output/ocr_alto/book/12.png.xml",
        "pdf": "output/ocr_pdf/book/12.png.pdf",
    }
    assert OUTPUTS["word_counts"].key("book/12.png") == keys.word_counts("book/12.png")


@pytest.mark.parametrize("letter", ["a", "é", "字", "🦉"])
def test_no_output_of_the_longest_name_has_a_key_too_long_for_s3(letter: str) -> None:
    longest = letter * ((1024 - len("input/")) // len(letter.encode()))
    for build in (*(output.key for output in OUTPUTS.values()), keys.word_counts, keys.archived):
        assert len(build(longest).encode()) <= 1024


def test_two_long_names_that_begin_alike_have_different_outputs() -> None:
    assert keys.word_counts("a" * 1010 + "1") != keys.word_counts("a" * 1010 + "2")


def test_the_same_picture_read_by_another_model_is_another_recognition() -> None:
    better = ENGINE.model_copy(update={"models": {"eng": "1" * 64}})
    assert keys.recognition("c", ENGINE.fingerprint) != keys.recognition("c", better.fingerprint)
    assert keys.receipt("s3://b", delivery(), ENGINE) != keys.receipt("s3://b", delivery(), better)


def test_a_receipt_depends_on_store_etag_and_size_but_not_on_the_name() -> None:
    same = keys.receipt("s3://b", delivery(), ENGINE)
    assert keys.receipt("s3://b", delivery(key="input/other.png"), ENGINE) == same
    assert keys.receipt("s3://c", delivery(), ENGINE) != same
    assert keys.receipt("s3://b", delivery(size=2), ENGINE) != same
    assert keys.receipt("s3://b", delivery(etag="f"), ENGINE) != same


def test_counts_under_another_least_confidence_are_other_counts() -> None:
    assert keys.counts("c", "f", Counting()) != keys.counts("c", "f", Counting(min_confidence=50))


def test_counts_of_the_body_alone_are_other_counts() -> None:
    assert keys.counts("c", "f", Counting()) != keys.counts("c", "f", Counting(body_only=True))


def test_counts_from_before_the_body_could_be_counted_alone_are_still_found() -> None:
    before = sha256_of(RULES, '{"min_confidence":50.0}')[:16]
    assert keys.counts("c", "f", Counting(min_confidence=50)) == f"recognitions/c/f.counts.{before}.json"


def test_a_delivery_is_told_by_version_else_by_etag_and_time() -> None:
    assert delivery().id == delivery().id
    assert delivery().id != delivery(modified="2026-11-20T10:00:01Z").id
    assert delivery(version="v").id == delivery(version="v", modified="2026-11-20T10:00:01Z").id
    assert delivery().id != delivery(attempt="again").id
