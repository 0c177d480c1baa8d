"""A letter of a font is read once for all pages, unless it looks otherwise, or its font has no name of its own."""

from __future__ import annotations

from inktally.imaging.decoding.pdf_layer import Style, TextRun
from inktally.reading.confirmed import OFTEN, Confirmed
from inktally.reading.pages import ConfirmedLetters

FONT = "CMR10 26492"


def a_run(text: str, font: str = FONT, width: float = 10.0) -> TextRun:
    boxes = [(20.0 * place, 0.0, 20.0 * place + width, 20.0) for place in range(len(text))]
    return TextRun(Style(font, 0, (0, 0, 100, 20), 0), text=text, boxes=boxes, fonts=[font] * len(text))


def test_what_was_confirmed_on_one_page_is_known_on_the_next() -> None:
    first = Confirmed(ConfirmedLetters())
    assert not first.has(a_run("tea"))
    first.confirm(a_run("tea"))
    later = Confirmed(ConfirmedLetters.model_validate_json(first.learnt.model_dump_json()))
    assert later.has(a_run("eat"))
    assert not later.has(a_run("team"))
    assert not later.has(a_run("eat", font="CMR10 26493"))


def test_a_letter_of_another_shape_is_another_letter() -> None:
    known = Confirmed(ConfirmedLetters())
    known.confirm(a_run("of"))
    assert known.has(a_run("of", width=11.0))
    assert not known.has(a_run("of", width=16.0))


def test_fonts_that_a_file_does_not_bring_are_read_on_every_page() -> None:
    known = Confirmed(ConfirmedLetters())
    known.confirm(a_run("tea", font="94206461226064 Helvetica"))
    assert not known.has(a_run("tea", font="94206461226064 Helvetica"))


def test_what_no_engine_can_read_is_not_tried_for_ever() -> None:
    known = Confirmed(ConfirmedLetters())
    for _ in range(OFTEN):
        assert not known.has(a_run("tea"))
        known.try_(a_run("tea"))
    assert known.has(a_run("tea"))
