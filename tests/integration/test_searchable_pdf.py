"""Searchable PDFs as runs make them: the picture is opened in a sandboxed child, and read by a real Tesseract."""

from __future__ import annotations

import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from pikepdf import Dictionary, Name

from deployments.samples import CLEAN, TWO_PAGES, render
from inktally import plugins
from inktally.document import Recognition
from inktally.errors import OutputFailed
from inktally.outputs import pdf
from inktally.settings import Settings, read_settings
from tests.support.layers import WORDS, Sheet, body, shifted, to_unicode
from tests.support.paper import A4
from tests.support.readings import a_page, a_recognition, a_word


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return read_settings(scratch=tmp_path_factory.mktemp("scratch"), recognition_seconds=120)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    render(folder)
    return folder


def words_of(path: Path) -> Iterator[str]:
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            yield from page.get_textpage().get_text_range().split()


@pytest.mark.parametrize("name", [CLEAN, TWO_PAGES])
def test_a_sample_that_was_read_can_be_searched(settings: Settings, samples: Path, tmp_path: Path, name: str) -> None:
    recogniser = plugins.recogniser("tesseract", settings)
    recognition = recogniser.recognise(samples / name, recogniser.identify(["eng"]))
    target = tmp_path / "searchable.pdf"
    pdf.build(settings).write(samples / name, recognition, target)
    expected = Counter(word.text for word in recognition.words)
    assert expected.total() > 50
    assert Counter(words_of(target)) == expected
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", str(target), "-"], capture_output=True, check=True, timeout=60).stdout
        assert Counter(text.decode().split()) == expected


def written(settings: Settings, path: Path, folder: Path) -> tuple[Path, Recognition, list[str]]:
    """The searchable PDF of a PDF, what was read, and the codes of what got lost."""
    recogniser = plugins.recogniser("tesseract", settings)
    recognition = recogniser.recognise(path, recogniser.identify(["eng"]))
    lost = pdf.build(settings).write(path, recognition, folder / "searchable.pdf")
    return folder / "searchable.pdf", recognition, [warning.code for warning in lost]


@pytest.mark.parametrize("meaning", [lambda letter: chr(ord(letter) % 31 + 1), shifted])
def test_text_that_is_not_true_is_not_found_in_what_is_written(
    meaning: Callable[[str], str], settings: Settings, tmp_path: Path
) -> None:
    sheet = Sheet()
    sheet.font("F2", ToUnicode=to_unicode(sheet.pdf, meaning))
    target, recognition, _ = written(settings, sheet.draw(body(font="F2")).save(tmp_path / "page.pdf"), tmp_path)
    assert [warning.code for warning in recognition.warnings] == ["text-layer"]
    assert sorted(word.lower() for word in words_of(target)) == sorted(WORDS)
    with pypdfium2.PdfDocument(target) as document:
        text = document[0].get_textpage().get_text_range()
        assert document[0].get_size() == pytest.approx(A4, abs=1)
    assert not {each for each in text if unicodedata.category(each) == "Cc"} - {"\r", "\n"}


def test_what_is_read_beside_true_text_is_added_to_it(settings: Settings, tmp_path: Path) -> None:
    made = Sheet().draw(body()).annotated("FreeText", "Rosalind Marrowick").save(tmp_path / "page.pdf")
    target, *_ = written(settings, made, tmp_path)
    assert sorted(word.lower() for word in words_of(target)) == sorted([*WORDS, "rosalind", "marrowick"])


def test_a_signature_is_removed_and_that_is_said(settings: Settings, tmp_path: Path) -> None:
    sheet = Sheet().draw(body()).annotated("Widget", "", FT=Name.Sig, T="signature", V=Dictionary(Type=Name.Sig))
    target, _, lost = written(settings, sheet.save(tmp_path / "page.pdf"), tmp_path)
    assert lost == ["signature"]
    with pikepdf.open(target) as file:
        assert not [*file.Root.AcroForm.Fields, *file.pages[0].Annots]
    with pypdfium2.PdfDocument(target) as document:
        assert pypdfium2.raw.FPDF_GetSignatureCount(document) == 0


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\ngarbage", b"\xff\xd8\xffgarbage", b"\x89PNG\r\n\x1a\ngarbage"])
def test_a_picture_that_breaks_is_a_failure_of_the_output_and_not_of_the_picture(
    settings: Settings, tmp_path: Path, content: bytes
) -> None:
    writer, recognition = pdf.build(settings), a_recognition([a_word("one")], [a_page()])
    (tmp_path / "picture").write_bytes(content)
    with pytest.raises(OutputFailed, match="No searchable PDF could be made"):
        writer.write(tmp_path / "picture", recognition, tmp_path / "searchable.pdf")


def test_a_pdf_with_fewer_pages_than_were_read_is_a_failure_of_the_output(settings: Settings, tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 200)
    document.save(tmp_path / "picture")
    recognition: Recognition = a_recognition([a_word("one"), a_word("two", page=2)], [a_page(), a_page(2)])
    with pytest.raises(OutputFailed):
        pdf.build(settings).write(tmp_path / "picture", recognition, tmp_path / "searchable.pdf")


def test_whoever_asks_for_a_pdf_loads_nothing_that_opens_pictures() -> None:
    imports = "import sys, inktally.outputs.pdf, inktally.steps.answering; "
    seen = imports + "print({'PIL', 'pikepdf', 'img2pdf'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "set()"
