"""Pages of PDFs that say other than they show: what is counted is what they show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pikepdf import Array, Dictionary, Name
from PIL import Image, ImageDraw, ImageFont

from inktally.engines import tesseract
from inktally.reading.child import read_page
from inktally.reading.pages import PageRead, PageRequest
from inktally.reading.specimens import folded
from inktally.settings import read_settings
from tests.support.layers import (
    PROSE,
    SERIF,
    WORDS,
    Sheet,
    body,
    misread,
    ocr_layer,
    outlined,
    scan,
    shifted,
    to_unicode,
)  # fmt: skip
from tests.support.paper import A4, INVISIBLE, typed

SECRET = "zebra xylophone quixotic"


def read(path: Path, text_layer: str = "check", number: int = 1) -> PageRead:
    settings = read_settings()
    identity = tesseract.build(settings).identify(["eng"])
    request = PageRequest(
        picture=str(path), number=number, settings=settings.without_secrets(), engines={"tesseract": identity},
        languages=("eng",), text_layer=text_layer,
    )  # fmt: skip
    return PageRead.model_validate(read_page(**request.model_dump(mode="json")))


def words(page: PageRead) -> list[str]:
    return [text for word in page.words if (text := folded(word.text))]


def codes(page: PageRead) -> list[str]:
    return [warning.code for warning in page.warnings]


def missing(page: PageRead, wanted: list[str]) -> Counter[str]:
    return Counter(wanted) - Counter(words(page))


def optional_content(sheet: Sheet) -> Sheet:
    """With a layer /oc1 that is switched off."""
    layer = sheet.pdf.make_indirect(Dictionary(Type=Name.OCG, Name="hidden"))
    off = Dictionary(OFF=Array([layer]), Order=Array([layer]))
    sheet.pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=off)
    sheet.page.Resources.Properties = Dictionary(oc1=layer)
    return sheet


def line(text: str, y: float = 100, mode: int = 0) -> str:
    return f"BT /F1 14 Tf {mode} Tr 60 {y} Td ({text}) Tj ET"


GREY = Image.new("L", (60, 20), 200)
HIDDEN = {
    "white on white": lambda: Sheet().draw(body()).draw(f"1 g {line(SECRET)} 0 g"),
    "covered by a shape": lambda: Sheet().draw(body()).draw(line(SECRET)).draw("0 g 50 90 300 30 re f"),
    "covered by a white shape": lambda: Sheet().draw(line(SECRET)).draw("1 g 50 90 300 30 re f 0 g").draw(body()),
    "under a picture": lambda: Sheet().draw(line(SECRET)).picture(GREY, 50, 90, 300, 30).draw(body()),
    "clipped away": lambda: Sheet().draw(body()).draw(f"q 50 200 300 20 re W n {line(SECRET)} Q"),
    "on a layer that is off": lambda: (
        optional_content(Sheet()).draw(body()).draw(f"/OC /oc1 BDC {line(SECRET)} EMC")
    ),
    "invisible over nothing": lambda: Sheet().draw(body()).draw(line(SECRET, mode=INVISIBLE)),
    "invisible over text": lambda: Sheet().draw(body()).draw(line(SECRET, y=760, mode=INVISIBLE)),
    "white upon text": lambda: Sheet().draw(body()).draw(f"1 g {line(SECRET, y=723.6)} 0 g"),
}  # fmt: skip


class TestHidden:
    """What is in the layer and not painted is not counted, and that is said."""

    @pytest.mark.parametrize("kind", HIDDEN)
    def test_words_that_are_not_to_be_seen_are_left_out(self, kind: str, tmp_path: Path) -> None:
        page = read(HIDDEN[kind]().save(tmp_path / "page.pdf"))
        assert not set(SECRET.split()) & set(words(page))
        assert not missing(page, WORDS) if "upon" not in kind else len(missing(page, WORDS)) < 6
        assert codes(page) == ["hidden-words"]

    def test_those_outside_the_crop_box_are_hidden(self, tmp_path: Path) -> None:
        sheet = Sheet().draw(body()).draw(line(SECRET, y=60))
        page = read(sheet.save(tmp_path / "page.pdf", CropBox=[0, 100, *A4]))
        assert sorted(words(page)) == sorted(WORDS)
        assert codes(page) == ["hidden-words"]
        assert page.warnings[0].page == 1
        assert page.warnings[0].message.startswith("3 words")

    def test_what_is_painted_twice_is_one_word(self, tmp_path: Path) -> None:
        bold = body().replace("60 760 Td", "60.4 760 Td")
        page = read(Sheet().draw(body()).draw(bold).save(tmp_path / "page.pdf"))
        assert sorted(words(page)) == sorted(WORDS)
        assert not page.warnings

    def test_white_letters_on_a_black_bar_are_seen(self, tmp_path: Path) -> None:
        sheet = Sheet().draw("0 g 50 90 300 30 re f").draw(f"1 g {line(SECRET)} 0 g").draw(body())
        page = read(sheet.save(tmp_path / "page.pdf"))
        assert not missing(page, [*WORDS, *SECRET.split()])
        assert not page.warnings


class TestBesideTheLayer:
    """What is painted and not in the layer is read, in its place."""

    @pytest.mark.parametrize(
        ("subtype", "entries"), [("Widget", {"FT": Name.Tx, "T": "name", "V": "x"}), ("FreeText", {"Contents": "x"})]
    )
    def test_filled_fields_and_annotations(self, subtype: str, entries: dict[str, object], tmp_path: Path) -> None:
        sheet = Sheet().draw(body()).annotated(subtype, "Rosalind Marrowick of Harbour Street", **entries)
        page = read(sheet.save(tmp_path / "page.pdf"))
        assert words(page) == [*WORDS, "rosalind", "marrowick", "of", "harbour", "street"]
        assert not page.warnings

    def test_words_in_a_picture(self, tmp_path: Path) -> None:
        picture = Image.new("L", (1000, 300), "white")
        shown = "Winter timetable\nDeparture island granite"
        ImageDraw.Draw(picture).multiline_text((40, 40), shown, fill="black", font=ImageFont.truetype(SERIF, 60))
        page = read(Sheet().draw(body()).picture(picture, 60, 200, 400, 120).save(tmp_path / "page.pdf"))
        assert words(page) == [*WORDS, *shown.lower().split()]
        assert page.page.source == "text layer"
        assert not page.warnings

    def test_a_photograph_without_words_adds_none(self, tmp_path: Path) -> None:
        noise = Image.effect_noise((300, 200), 90).resize((900, 600))
        page = read(Sheet().draw(body()).picture(noise, 60, 200, 300, 200).save(tmp_path / "page.pdf"))
        assert words(page) == WORDS

    def test_letters_made_of_outlines_stand_between_the_lines_around_them(self, tmp_path: Path) -> None:
        sheet = Sheet().draw(typed(PROSE[:3], top=760, size=14)).draw(outlined("Departure granite", 60, 660, 16))
        page = read(sheet.draw(typed(PROSE[3:], top=600, size=14)).save(tmp_path / "page.pdf"))
        first = " ".join(PROSE[:3]).lower().split()
        assert words(page) == [*first, "departure", "granite", *WORDS[len(first) :]]

    def test_a_stamp_on_a_scan_is_no_reason_to_leave_the_scan_unread(self, tmp_path: Path) -> None:
        page = read(Sheet().picture(scan(), 0, 0, *A4).draw(line("Library stamp", y=40)).save(tmp_path / "page.pdf"))
        assert not missing(page, [*WORDS, "library", "stamp"])


class TestOtherLetters:
    """A layer that says other letters than the page shows is not believed."""

    def test_letters_that_are_shifted(self, tmp_path: Path) -> None:
        sheet = Sheet()
        sheet.font("F2", ToUnicode=to_unicode(sheet.pdf, shifted))
        page = read(sheet.draw(body(font="F2")).save(tmp_path / "page.pdf"))
        assert sorted(words(page)) == sorted(WORDS)
        assert codes(page) == ["text-layer"]
        assert page.page.source == "picture"

    def test_letters_that_mean_nothing(self, tmp_path: Path) -> None:
        sheet = Sheet()
        sheet.font("F2", ToUnicode=to_unicode(sheet.pdf, lambda letter: chr(0xE000 + ord(letter))))
        page = read(sheet.draw(body(font="F2")).save(tmp_path / "page.pdf"))
        assert sorted(words(page)) == sorted(WORDS)
        assert codes(page) == ["text-layer"]

    @pytest.mark.parametrize("lost", ["\x06", "", " ", "f", "\ufffd"])
    def test_ligatures_that_were_lost(self, lost: str, tmp_path: Path) -> None:
        sheet = Sheet()
        names = Array([1, Name.fi, Name.fl])
        encoding = Dictionary(Type=Name.Encoding, BaseEncoding=Name.WinAnsiEncoding, Differences=names)
        meaning = to_unicode(sheet.pdf, lambda code: lost if code in "\1\2" else code)
        sheet.font("F2", Encoding=encoding, ToUnicode=meaning)
        lines = (r"First \001nd the of\001ce \002oor", r"The \002ag re\002ects a \001ne \001sh", *PROSE[:6])
        page = read(sheet.draw(body(lines, font="F2")).save(tmp_path / "page.pdf"))
        shown = ["first", "find", "the", "office", "floor", "the", "flag", "reflects", "a", "fine", "fish"]
        assert words(page) == [*shown, *" ".join(PROSE[:6]).lower().split()]

    def test_what_an_old_engine_misread(self, tmp_path: Path) -> None:
        lines = tuple(misread(each, 0.4, number) for number, each in enumerate(PROSE))
        page = read(ocr_layer(lines, tmp_path / "page.pdf"))
        assert sum(missing(page, WORDS).values()) <= 2
        assert codes(page) == ["text-layer"]

    def test_words_of_another_page(self, tmp_path: Path) -> None:
        page = read(ocr_layer(PROSE[::-1], tmp_path / "page.pdf"))
        assert codes(page) in ([], ["text-layer"])  # the same words elsewhere: either way each is counted once
        assert sum(missing(page, WORDS).values()) <= 2

    def test_a_layer_can_be_trusted_or_ignored_all_the_same(self, tmp_path: Path) -> None:
        sheet = Sheet()
        sheet.font("F2", ToUnicode=to_unicode(sheet.pdf, shifted))
        made = sheet.draw(body(font="F2")).save(tmp_path / "page.pdf")
        assert words(read(made, "trust")) == ["".join(map(shifted, word)) for word in WORDS]
        ignored = read(Sheet().draw(body()).save(tmp_path / "true.pdf"), "ignore")
        assert ignored.page.source == "picture"
        assert not missing(ignored, WORDS)


class TestTrue:
    """A layer that is true is taken as it is, and nothing is said of it."""

    def test_typed_text(self, tmp_path: Path) -> None:
        page = read(Sheet().draw(body()).save(tmp_path / "page.pdf"))
        assert words(page) == WORDS
        assert (page.page.source, page.page.engine, page.warnings) == ("text layer", "", ())

    def test_what_was_recognised_in_a_scan_and_laid_under_it(self, tmp_path: Path) -> None:
        page = read(ocr_layer(PROSE, tmp_path / "page.pdf"))
        assert words(page) == WORDS
        assert (page.page.source, page.warnings) == ("text layer", ())

    @pytest.mark.parametrize("turn", [0, 90, 180, 270])
    @pytest.mark.parametrize("matrix", ["0 1 -1 0 80 60", "0 -1 1 0 500 780", "-1 0 0 -1 540 100"])
    def test_lines_that_run_sideways_are_in_order(self, matrix: str, turn: int, tmp_path: Path) -> None:
        lines = ("an even-", *PROSE[:3])
        content = f"q {matrix} cm {typed(lines, top=0, size=14).replace('60 0 Td', '0 0 Td')} Q"
        page = read(Sheet().draw(content).save(tmp_path / "page.pdf", Rotate=turn))
        assert [word.text for word in page.words][:3] == ["an", "even-", "The"]
        assert len({word.line_id for word in page.words}) == len(lines)
        assert not page.warnings

    def test_superscripts_stand_apart_from_their_word(self, tmp_path: Path) -> None:
        raised = "BT /F1 14 Tf 60 100 Td (The treaty) Tj /F1 8 Tf 5 Ts (1) Tj 0 Ts /F1 14 Tf ( of the 21) Tj"
        content = f"{raised} /F1 8 Tf 5 Ts (st) Tj 0 Ts /F1 14 Tf ( century) Tj ET"
        page = read(Sheet().draw(body()).draw(content).save(tmp_path / "page.pdf"))
        assert words(page)[len(WORDS) :] == ["the", "treaty", "1", "of", "the", "21st", "century"]

    def test_a_small_page_with_a_large_picture_is_read_by_the_pictures_pixels(self, tmp_path: Path) -> None:
        page = read(Sheet().picture(scan(), 0, 0, 59.5, 84.2).save(tmp_path / "page.pdf", MediaBox=[0, 0, 59.5, 84.2]))
        assert not missing(page, WORDS)
