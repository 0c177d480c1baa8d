"""Pages of PDFs: as pictures, and by the text that they hold, when that is what stands on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image

from inktally.errors import TooLarge, UnreadablePicture
from inktally.imaging.decoding.document import DecodedPage, Limits, open_document
from tests.support.paper import A4, INVISIBLE, LINES, pdf, picture, typed

LIMITS = Limits(max_pixels=50_000_000, max_pages=3, max_page_words=1000)
SCAN = picture("\n".join(LINES[:15]), (1240, 1754))
WORDS = [word for line in LINES for word in line.split()]


def decoded(path: Path, limits: Limits = LIMITS) -> list[DecodedPage]:
    with open_document(path, limits) as document:
        return [document.page(number) for number in range(1, document.page_count + 1)]


def text_on(path: Path) -> list[str] | None:
    (page,) = decoded(path)
    return [word.text for word in page.text.words] if page.text else None


def test_pages_are_drawn_with_300_dpi(tmp_path: Path) -> None:
    one, two = decoded(pdf(tmp_path / "two.pdf", typed(["First"]), typed(["Second"])))
    for page in (one, two):
        assert page.image.pixels.shape == (3509, 2480, 3)
        assert (page.image.dpi, page.image.pixels.min(), page.image.pixels.max()) == (300, 0, 255)


def test_a_page_that_would_exceed_the_limit_is_drawn_with_less(tmp_path: Path) -> None:
    (page,) = decoded(pdf(tmp_path / "page.pdf", typed(LINES)), Limits(max_pixels=1_000_000, max_pages=1))
    assert 950_000 < page.image.height * page.image.width <= 1_000_000
    assert page.image.dpi == pytest.approx(101, abs=2)


def test_a_page_of_a_mile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="inches"):
        decoded(pdf(tmp_path / "page.pdf", "", MediaBox=[0, 0, 200_000, 200_000]))


def test_too_many_pages_are_refused_before_any_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 3 pages"), open_document(pdf(tmp_path / "4.pdf", *"    "), LIMITS):
        pytest.fail("it was opened")


class TestText:
    """A layer that is the page's text is taken as it is."""

    def test_words_have_places_in_lines_and_paragraphs_and_boxes_on_the_picture(self, tmp_path: Path) -> None:
        (page,) = decoded(pdf(tmp_path / "page.pdf", typed(["Two fine", "lines,", "", "", "one more."])))
        assert page.text is not None
        assert page.text.text == "Two fine\nlines,\n\none more.\n"
        places = [(word.text, word.page, word.block, word.paragraph, word.line, word.word) for word in page.text.words]
        assert places == [
            ("Two", 1, 1, 1, 1, 1), ("fine", 1, 1, 1, 1, 2), ("lines,", 1, 1, 1, 2, 1),
            ("one", 1, 1, 2, 1, 1), ("more.", 1, 1, 2, 1, 2),
        ]  # fmt: skip
        for word in page.text.words:
            box = word.box
            inside = page.image.pixels[box.top : box.top + box.height, box.left : box.left + box.width]
            assert inside.min() < 100, f"there is no ink where {word.text} is said to be"
            page.image.pixels[box.top - 2 : box.top + box.height + 2, box.left - 2 : box.left + box.width + 2] = 255
        assert page.image.pixels.min() > 200, "there is ink beside all boxes"

    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_boxes_lie_on_the_words_of_pages_that_are_turned(self, turn: int, tmp_path: Path) -> None:
        (page,) = decoded(pdf(tmp_path / "page.pdf", typed(["turned page", "with words"]), Rotate=turn))
        assert page.text is not None
        for word in page.text.words:
            box = word.box
            assert page.image.pixels[box.top : box.top + box.height, box.left : box.left + box.width].min() < 100
        assert sorted(page.text.text.split()) == ["page", "turned", "with", "words"]

    def test_columns_are_blocks_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        right = typed(["right one", "right two"]).replace("60 780", "320 780")
        (page,) = decoded(pdf(tmp_path / "page.pdf", typed(["left one", "left two"]) + right))
        assert page.text is not None
        assert [(word.block, word.text) for word in page.text.words if word.word == 2] == [
            (1, "one"), (1, "two"), (2, "one"), (2, "two"),
        ]  # fmt: skip

    def test_a_word_broken_at_the_end_of_a_line_keeps_its_hyphen(self, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed(["a hyphen-", "ated word"]))) == [
            "a", "hyphen-", "ated", "word",
        ]  # fmt: skip

    def test_words_outside_the_page_are_left_out(self, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed(["seen"]) + typed(["unseen"], top=2000))) == ["seen"]

    def test_what_was_recognised_in_a_scan_and_laid_under_it_is_text(self, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed(LINES, INVISIBLE), scan=SCAN)) == WORDS

    def test_so_is_a_line_on_a_scan_that_bears_no_other(self, tmp_path: Path) -> None:
        scan = picture("", A4)
        scan.paste(0, (60, 850 - 780 - 20, 130, 850 - 780 - 8))
        assert text_on(pdf(tmp_path / "page.pdf", typed(["Title page"], INVISIBLE), scan=scan)) == ["Title", "page"]


class TestNoText:
    """Other layers are passed over, and their pages read as pictures."""

    def test_a_scan_has_none(self, tmp_path: Path) -> None:
        (page,) = decoded(pdf(tmp_path / "scan.pdf", "", scan=SCAN))
        assert page.text is None
        assert np.mean(page.image.pixels < 128) > 0.01

    @pytest.mark.parametrize("mode", [0, INVISIBLE])
    def test_a_stamp_on_a_scan_is_none(self, mode: int, tmp_path: Path) -> None:
        stamp = ["Downloaded by a reader of this library on a day in May", "All use is subject to its terms of service"]
        assert text_on(pdf(tmp_path / "scan.pdf", typed(stamp, mode, top=40), scan=SCAN)) is None

    def test_a_watermark_over_text_that_was_made_of_curves_is_none(self, tmp_path: Path) -> None:
        curves = " ".join(f"{x} {y} 6 8 re f" for x in range(60, 500, 9) for y in range(100, 700, 14))
        assert (
            text_on(pdf(tmp_path / "page.pdf", "0.9 g " + typed(["DRAFT"], size=90, top=400) + " 0 g " + curves))
            is None
        )

    @pytest.mark.parametrize(
        "garbage", [r"\001\002\003 \004\005\006 \016\017", r"a\001\002b \003c\004d", r"\001 words \002\003"]
    )
    def test_characters_without_meaning_are_none(self, garbage: str, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed([" ".join([garbage] * 5)] * 30))) is None

    def test_nor_are_signs_alone(self, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed(["* * * * - - - -"] * 30))) is None


class TestBroken:
    """Each with a sentence that says what to do."""

    def test_a_password_is_asked_to_be_removed(self, tmp_path: Path) -> None:
        open_one = pdf(tmp_path / "open.pdf", typed(LINES))
        with pikepdf.open(open_one) as file:
            file.save(tmp_path / "closed.pdf", encryption=pikepdf.Encryption(user="secret", owner="secret"))
        with pytest.raises(UnreadablePicture, match="password"):
            decoded(tmp_path / "closed.pdf")

    def test_one_that_only_forbids_printing_is_read(self, tmp_path: Path) -> None:
        with pikepdf.open(pdf(tmp_path / "open.pdf", typed(LINES))) as file:
            file.save(tmp_path / "closed.pdf", encryption=pikepdf.Encryption(owner="secret"))
        assert text_on(tmp_path / "closed.pdf") == WORDS

    @pytest.mark.parametrize("content", [b"%PDF-1.7 ...", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer <</Root 1 0 R>>"])
    def test_a_damaged_file_is_told(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "bad.pdf").write_bytes(content)
        with pytest.raises(UnreadablePicture, match="PDF"):
            decoded(tmp_path / "bad.pdf")


def test_a_filled_form_shows_what_was_filled_in(tmp_path: Path) -> None:
    with pikepdf.open(pdf(tmp_path / "empty.pdf", "")) as file:
        appearance = file.make_stream(b"0 g 0 0 200 20 re f", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form)
        appearance.BBox = [0, 0, 200, 20]
        field = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T="name", V="Anna", F=4,
            Rect=[60, 700, 260, 720], AP=pikepdf.Dictionary(N=appearance),
        )  # fmt: skip
        widget = file.make_indirect(field)
        file.pages[0].Annots = pikepdf.Array([widget])
        file.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([widget]))
        file.save(tmp_path / "filled.pdf")
    (page,) = decoded(tmp_path / "filled.pdf")
    assert np.mean(page.image.pixels < 128) > 0.001


def test_a_picture_in_a_pdf_is_found_whatever_stands_before_it(tmp_path: Path) -> None:
    made = pdf(tmp_path / "scan.pdf", typed(LINES))
    made.write_bytes(b"\xef\xbb\xbf\n" + made.read_bytes())
    assert text_on(made) == WORDS


def test_pdfs_of_pillow_are_read(tmp_path: Path) -> None:
    Image.new("1", (600, 800), 1).save(tmp_path / "page.pdf", resolution=100)
    (page,) = decoded(tmp_path / "page.pdf")
    assert (page.image.width, page.image.height) == (1801, 2400)
