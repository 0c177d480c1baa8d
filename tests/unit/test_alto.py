"""ALTO is read by libraries' programs, which refuse what is not valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from lxml import etree

from inktally.document import Box, Section, Step
from inktally.outputs import alto
from inktally.outputs.shared.layout import Reading
from tests.support.readings import SOURCE, a_page, a_reading, a_word

NAMES = {"a": alto.NAMESPACE}
SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("alto.xsd"))))


def written(reading: Reading) -> Any:
    """The root of a document that is valid."""
    root = etree.fromstring(alto.write(reading))
    SCHEMA.assertValid(root)
    return root


def found(root: Any, path: str) -> list[Any]:
    result: list[Any] = root.xpath(path, namespaces=NAMES)
    return result


def a_page_with_marginalia() -> Reading:
    box = Box(left=0, top=0, width=10, height=10)
    kinds = ("header", "page-number", "body", "page-number", "footer")
    sections = tuple(Section(number=number, kind=kind, box=box) for number, kind in enumerate(kinds, 1))
    words = [a_word(f"word{number}", 4 * (number - 1), section=number, block=1) for number in range(1, 6)]
    return a_reading(words=words, pages=[a_page(height=700, sections=sections)])


def test_words_stand_with_their_places_and_confidences_in_lines_of_blocks() -> None:
    words = [a_word("owl", 0, confidence=91.5), a_word("night", 1), a_word("next", 4), a_word("par", 8, paragraph=2)]
    root = written(a_reading(words=[*words, a_word("block", 12, block=2)]))
    lines = [[string.get("CONTENT") for string in found(line, "a:String")] for line in found(root, "//a:TextLine")]
    assert lines == [["owl", "night"], ["next"], ["par"], ["block"]]
    assert [len(found(block, "a:TextBlock")) for block in found(root, "//a:PrintSpace/a:ComposedBlock")] == [2, 1]
    owl = found(root, "//a:String")[0]
    assert {name: owl.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")} == {
        "HPOS": "100",
        "VPOS": "100",
        "WIDTH": "300",
        "HEIGHT": "50",
        "WC": "0.915",
    }
    [space] = found(root, "//a:SP")
    assert (space.get("HPOS"), space.get("WIDTH")) == ("400", "100")


def test_headers_footers_and_page_numbers_stand_in_the_margins_and_are_tagged() -> None:
    root = written(a_page_with_marginalia())
    places = {
        space: [
            (block.get("TAGREFS"), found(block, ".//a:String/@CONTENT"))
            for block in found(root, f"//a:{space}/a:ComposedBlock")
        ]
        for space in ("TopMargin", "PrintSpace", "BottomMargin")
    }
    assert places == {
        "TopMargin": [("tag_header", ["word1"]), ("tag_page-number", ["word2"])],
        "PrintSpace": [(None, ["word3"])],
        "BottomMargin": [("tag_page-number", ["word4"]), ("tag_footer", ["word5"])],
    }
    assert found(root, "//a:StructureTag/@LABEL") == ["header", "footer", "page-number"]


def test_the_engine_and_each_step_before_it_are_named_for_each_page() -> None:
    steps = (Step(name="turn", parameters={"degrees": 90}), Step(name="invert"))
    second = a_page(2, engine="rapidocr", reason="its words are surer", quality=0.875)
    root = written(a_reading("a", pages=[a_page(steps=steps), second]))
    for page in found(root, "//a:Page"):
        assert found(root, f"count(//a:Processing[contains(' {page.get('PROCESSINGREFS')} ', concat(' ', @ID, ' '))])")
    described = [found(each, "a:processingStepDescription/text()") for each in found(root, "//a:Processing")]
    assert described == [["turn"], ["invert"], ["recognition from the picture"],
                         ["recognition from the picture", "its words are surer"]]  # fmt: skip
    assert found(root, "//a:processingStepSettings/text()")[0] == "degrees=90"
    assert found(root, "//a:softwareName/text()") == ["Inktally", "Inktally", "tesseract", "rapidocr"]
    assert found(root, "//a:softwareVersion/text()") == ["5.3.0"]
    assert [page.get("PC") for page in found(root, "//a:Page")] == [None, "0.875"]


def test_the_source_and_the_languages_are_told() -> None:
    root = written(a_reading("a"))
    assert found(root, "//a:fileName/text()") == [SOURCE]
    assert found(root, "//a:Page/@OTHERLANGS") == ["eng deu"]
    assert found(written(a_reading("a", languages=["frk"])), "//a:Page/@LANG") == ["de-Latf"]


def test_a_page_without_words_has_an_empty_print_space_as_large_as_itself() -> None:
    [space] = found(written(a_reading(pages=[a_page(1)])), "//a:PrintSpace")
    assert (space.get("WIDTH"), space.get("HEIGHT"), len(space)) == ("1700", "1000", 0)


@pytest.mark.parametrize(
    ("text", "expected"), [("a\x00b", "a\N{REPLACEMENT CHARACTER}b"), ("a\n\tb", "a b"), ("\uffff", "\ufffd")]
)
def test_what_xml_cannot_hold_is_replaced(text: str, expected: str) -> None:
    assert found(written(a_reading(text)), "//a:String/@CONTENT") == [expected]


@given(st.lists(st.text(), max_size=6), st.text(), st.text(max_size=8))
def test_any_text_gives_a_valid_document_of_as_many_words(texts: list[str], reason: str, language: str) -> None:
    pages = [a_page(reason=reason, engine=language, steps=(Step(name=reason, parameters={language: reason}),))]
    root = written(a_reading(*texts, pages=pages, languages=[language]))
    assert len(found(root, "//a:String")) == sum(bool(text.strip()) for text in texts)
