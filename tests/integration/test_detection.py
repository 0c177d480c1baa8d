"""Pages whose language nobody has told, read by the real Tesseract."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally import plugins
from inktally.errors import MissingTool
from inktally.imaging.page import PageImage
from inktally.reading.detection import detect
from inktally.settings import read_settings

INSTALLED = ("ces", "dan", "deu", "eng", "fra", "frk", "spa")
TEXTS = {
    "eng": "When the rain had stopped the old man went down to the river to see whether the boat was still there. He "
    "found the rope on the grass and nothing at the end of it, and so he walked home again and told his wife.",
    "deu": "Als der Regen aufgehört hatte, ging der alte Mann zum Fluss hinunter und wollte sehen, ob das Boot noch da "
    "war. Er fand das Seil im Gras und nichts an seinem Ende, und so ging er wieder nach Hause zu seiner Frau.",
    "fra": "Quand la pluie eut cessé, le vieil homme descendit vers la rivière pour voir si le bateau était encore là. "
    "Il trouva la corde dans l'herbe et rien au bout, alors il rentra chez lui et le raconta à sa femme.",
    "spa": "Cuando dejó de llover, el viejo bajó al río para ver si la barca estaba todavía en su sitio. Encontró la "
    "cuerda en la hierba y nada al final de ella, así que volvió a su casa y se lo contó a su mujer.",
    "dan": "Da regnen var holdt op, gik den gamle mand ned til åen for at se, om båden stadig lå der. Han fandt rebet "
    "i græsset og ikke noget for enden af det, og så gik han hjem igen og fortalte det til sin kone.",
    "ces": "Když přestalo pršet, šel starý muž dolů k řece, aby se podíval, jestli tam loďka ještě je. Našel provaz v "
    "trávě a na jeho konci nic, a tak se zase vrátil domů a všechno to pověděl své ženě.",
}


def page(*texts: str) -> PageImage:
    image = Image.new("L", (1240, 900), "white")
    lines = [line for text in texts for line in textwrap.wrap(text, 60)]
    ImageDraw.Draw(image).multiline_text((80, 80), "\n".join(lines), font=ImageFont.load_default(32), spacing=14)
    return PageImage(np.asarray(image), dpi=150)


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_the_language_of_a_page_is_found(language: str) -> None:
    assert detect(page(TEXTS[language]), INSTALLED) == (language,)


def test_a_picture_whose_language_is_auto_is_read_in_the_one_that_is_found(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    Image.fromarray(page(TEXTS["deu"]).pixels).save(picture)
    reader = plugins.recogniser("tesseract", read_settings(scratch=tmp_path, cache=tmp_path))
    recognition = reader.recognise(picture, reader.identify(["auto"]))
    assert recognition.pages[0].languages == ("deu",)
    assert {"wollte", "Boot"} <= set(recognition.text.split())


def test_both_languages_of_a_page_are_found() -> None:
    assert set(detect(page(TEXTS["eng"], TEXTS["deu"]), INSTALLED)) == {"eng", "deu"}


def test_only_what_is_installed_is_found() -> None:
    assert detect(page(TEXTS["deu"]), ("eng", "fra")) in {("eng",), ("fra",)}


def test_one_language_needs_no_look() -> None:
    assert detect(page(TEXTS["deu"]), ("spa",), command="/nowhere/tesseract") == ("spa",)


@pytest.mark.parametrize("text", ["", "HB 4711"])
def test_a_page_that_says_too_little_is_taken_for_english(text: str) -> None:
    assert detect(page(text), INSTALLED) == ("eng",)


def test_without_any_language_the_command_that_installs_one_is_told() -> None:
    with pytest.raises(MissingTool, match="apt-get install tesseract-ocr-eng"):
        detect(page(TEXTS["eng"]), ())


def test_the_languages_of_the_tests_are_installed() -> None:
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True).stdout.split()
    assert {*INSTALLED, "osd"} <= set(listed)
