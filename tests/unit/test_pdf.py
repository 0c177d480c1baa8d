"""Pages of PDFs: as pictures, and by the text that they hold, when that is what stands on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image

from inktally.document import Word
from inktally.errors import TooLarge, UnreadablePicture
from inktally.imaging.decoding.document import DecodedPage, Limits, open_document
from inktally.imaging.page import PageText
from inktally.reading.text_layer import trusted
from tests.support.paper import LINES, pdf, picture, typed

LIMITS = Limits(max_pixels=50_000_000, max_pages=3, max_page_words=1000)
SCAN = picture("\n".join(LINES[:15]), (1240, 1754))
WORDS = [word for line in LINES for word in line.split()]


def decoded(path: Path, limits: Limits = LIMITS) -> list[DecodedPage]:
    with open_document(path, limits) as document:
        return [document.page(number) for number in range(1, document.page_count + 1)]


def layer_of(path: Path) -> tuple[Word, ...]:
    """The words of the only page's text layer, whatever the page shows."""
    with open_document(path, LIMITS) as document:
        layer = document.layer(1)
        return trusted(layer).words if layer else ()


def text_on(path: Path) -> list[str]:
    return [word.text for word in layer_of(path)]


def test_pages_are_drawn_with_300_dpi(tmp_path: Path) -> None:
    one, two = decoded(pdf(tmp_path / "two.pdf", typed(["First"]), typed(["Second"])))
    for page in (one, two):
        assert page.image.pixels.shape == (3509, 2480)  # black on white: there is no colour
        assert (page.image.dpi, page.image.pixels.min(), page.image.pixels.max()) == (300, 0, 255)


def scanned(path: Path, scan: Image.Image, *, text: str = "") -> DecodedPage:
    (page,) = decoded(pdf(path, text, scan=scan))
    return page


@pytest.mark.parametrize("dpi", [216, 288])
def test_a_scan_is_drawn_with_its_own_pixels(dpi: int, tmp_path: Path) -> None:
    scan = picture("\n".join(LINES[:15]), (round(595 / 72 * dpi), round(842 / 72 * dpi)))
    page = scanned(tmp_path / "scan.pdf", scan)
    assert page.image.pixels.shape == (scan.height, scan.width)
    assert page.image.dpi == pytest.approx(dpi, abs=1)
    assert np.abs(page.image.pixels.astype(int) - np.asarray(scan)).mean() < 1  # but for JPEG's own noise


def test_a_coarse_scan_and_one_with_text_over_it_are_drawn_with_300_dpi(tmp_path: Path) -> None:
    coarse, fair = picture("coarse", (827, 1170)), picture("fair", (1653, 2339))
    assert scanned(tmp_path / "coarse.pdf", coarse).image.dpi == 300
    assert scanned(tmp_path / "typed.pdf", fair, text=typed(["Beside the scan"])).image.dpi == 300


def test_a_page_with_one_coloured_letter_keeps_its_colours(tmp_path: Path) -> None:
    red = "1 0 0 rg " + typed(["x"]) + " 0 g " + typed(LINES[1:])
    (page,) = decoded(pdf(tmp_path / "red.pdf", red))
    assert page.image.pixels.shape[2:] == (3,)
    assert (page.image.pixels[:, :, 0] != page.image.pixels[:, :, 1]).any()


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
    """The text of a file, as it gives it. What the page shows of it, tests/integration/test_text_layer.py tells."""

    def test_words_have_places_in_lines_and_paragraphs_and_boxes_on_the_picture(self, tmp_path: Path) -> None:
        path = pdf(tmp_path / "page.pdf", typed(["Two fine", "lines,", "", "", "one more."]))
        (page,), words = decoded(path), layer_of(path)
        assert PageText.of(words).text == "Two fine\nlines,\n\none more.\n"
        places = [(word.text, word.page, word.block, word.paragraph, word.line, word.word) for word in words]
        assert places == [
            ("Two", 1, 1, 1, 1, 1), ("fine", 1, 1, 1, 1, 2), ("lines,", 1, 1, 1, 2, 1),
            ("one", 1, 1, 2, 1, 1), ("more.", 1, 1, 2, 1, 2),
        ]  # fmt: skip
        for word in words:
            box = word.box
            inside = page.image.pixels[box.top : box.top + box.height, box.left : box.left + box.width]
            assert inside.min() < 100, f"there is no ink where {word.text} is said to be"
            page.image.pixels[box.top - 2 : box.top + box.height + 2, box.left - 2 : box.left + box.width + 2] = 255
        assert page.image.pixels.min() > 200, "there is ink beside all boxes"

    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_boxes_lie_on_the_words_of_pages_that_are_turned(self, turn: int, tmp_path: Path) -> None:
        path = pdf(tmp_path / "page.pdf", typed(["turned page", "with words"]), Rotate=turn)
        (page,), words = decoded(path), layer_of(path)
        for word in words:
            box = word.box
            assert page.image.pixels[box.top : box.top + box.height, box.left : box.left + box.width].min() < 100
        assert [word.text for word in words] == ["turned", "page", "with", "words"]

    def test_columns_are_blocks_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        right = typed(["right one", "right two"]).replace("60 780", "320 780")
        words = layer_of(pdf(tmp_path / "page.pdf", typed(["left one", "left two"]) + right))
        assert [(word.block, word.text) for word in words if word.word == 2] == [
            (1, "one"), (1, "two"), (2, "one"), (2, "two"),
        ]  # fmt: skip

    def test_a_word_broken_at_the_end_of_a_line_keeps_its_hyphen(self, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed(["a hyphen-", "ated word"]))) == [
            "a", "hyphen-", "ated", "word",
        ]  # fmt: skip

    def test_words_outside_the_page_are_left_out(self, tmp_path: Path) -> None:
        assert text_on(pdf(tmp_path / "page.pdf", typed(["seen"]) + typed(["unseen"], top=2000))) == ["seen"]


def test_a_scan_has_no_text(tmp_path: Path) -> None:
    (page,) = decoded(pdf(tmp_path / "scan.pdf", "", scan=SCAN))
    assert text_on(tmp_path / "scan.pdf") == []
    assert np.mean(page.image.pixels < 128) > 0.01


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


def test_no_password_is_asked_for_where_the_file_before_had_one(tmp_path: Path) -> None:
    with pikepdf.open(pdf(tmp_path / "open.pdf", typed(LINES))) as file:
        file.save(tmp_path / "closed.pdf", encryption=pikepdf.Encryption(user="secret", owner="secret"))
    bad = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n"
    (tmp_path / "bad.pdf").write_bytes(bad + b"trailer <</Root 1 0 R>>\n")
    with pytest.raises(UnreadablePicture, match="password"):
        decoded(tmp_path / "closed.pdf")
    with pytest.raises(UnreadablePicture, match="damaged"):
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
