"""How well each script is read, beside the bare command: python -m benchmarks.scripts [--models M,…] [--json].

For every model of Tesseract that is installed here and has a font, pages are drawn of the words that the model knows by
itself, and read in one run by us and by the command `tesseract` with the same model. Scored by F1 of words; of
characters where the script sets no spaces between words.

Needs the models (apt-get install tesseract-ocr-tha …), the fonts in `PACKAGES`, and dawg2wordlist and combine_tessdata,
which come with Debian's Tesseract.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import regex
from PIL import Image, ImageDraw, ImageFont

from benchmarks.readers import Read, Unread, ours, peers
from benchmarks.rows import FOLDERS
from inktally.languages import installed

PACKAGES = "fonts-noto-core fonts-noto-cjk"
DPI, WIDTH, LINES, EM = 200, 1654, 24, 36  # 36 pixels are 13 points
MARGIN, PITCH, PARAGRAPH = 150, 1.9, 8  # pixels, ems from line to line, lines
LEAST_WORDS = 200  # that a model knows of its script
NO_SPACES = frozenset({"Han", "Japanese", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"})
PAGES = 2  # a model
WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


class Script(NamedTuple):
    """Unicode's name of a script, and the font to draw it in."""

    name: str
    font: str


def _noto(name: str, *, serif: bool = False) -> Script:
    return Script(name, f"Noto{'Serif' if serif else 'Sans'}{name}-Regular.ttf")


LATIN = Script("Latin", "NotoSerif-Regular.ttf")
CYRILLIC = Script("Cyrillic", "NotoSerif-Regular.ttf")
ARABIC = Script("Arabic", "NotoNaskhArabic-Regular.ttf")
BENGALI, DEVANAGARI, HEBREW = _noto("Bengali"), _noto("Devanagari"), _noto("Hebrew")
SCRIPTS = {
    "eng": LATIN, "deu": LATIN, "fra": LATIN, "spa": LATIN, "ces": LATIN, "dan": LATIN, "pol": LATIN, "tur": LATIN,
    "vie": LATIN, "afr": LATIN,
    "rus": CYRILLIC, "ukr": CYRILLIC, "bel": CYRILLIC, "bul": CYRILLIC, "srp": CYRILLIC, "mkd": CYRILLIC,
    "ell": Script("Greek", "NotoSerif-Regular.ttf"),
    "ara": ARABIC, "fas": ARABIC, "urd": ARABIC, "pus": ARABIC, "snd": ARABIC, "uig": ARABIC,
    "heb": HEBREW, "yid": HEBREW,
    "hin": DEVANAGARI, "mar": DEVANAGARI, "nep": DEVANAGARI, "san": DEVANAGARI,
    "ben": BENGALI, "asm": BENGALI, "tam": _noto("Tamil"), "tel": _noto("Telugu"), "kan": _noto("Kannada"),
    "mal": _noto("Malayalam"), "guj": _noto("Gujarati"), "pan": _noto("Gurmukhi"), "ori": _noto("Oriya"),
    "sin": _noto("Sinhala"), "tha": _noto("Thai"), "lao": _noto("Lao"), "khm": _noto("Khmer"),
    "mya": _noto("Myanmar"), "bod": _noto("Tibetan", serif=True), "dzo": _noto("Tibetan", serif=True),
    "amh": _noto("Ethiopic"), "tir": _noto("Ethiopic"), "kat": _noto("Georgian"), "hye": _noto("Armenian"),
    "chr": _noto("Cherokee"), "iku": Script("Canadian_Aboriginal", "NotoSansCanadianAboriginal-Regular.ttf"),
    "syr": _noto("Syriac"), "div": _noto("Thaana"),
    "kor": Script("Hangul", "NotoSansCJK-Regular.ttc"), "jpn": Script("Japanese", "NotoSansCJK-Regular.ttc"),
    "chi_sim": Script("Han", "NotoSansCJK-Regular.ttc"), "chi_tra": Script("Han", "NotoSansCJK-Regular.ttc"),
}  # fmt: skip
RIGHT_TO_LEFT = frozenset({"Arabic", "Hebrew", "Syriac", "Thaana"})


class Result(NamedTuple):
    """F1 on the pages of one model, on average."""

    model: str
    script: str
    ours: float
    tesseract: float


def main() -> int:
    asked = _arguments()
    results = [result(model, asked.engine, asked.pages, asked.seed) for model in asked.models or available()]
    if asked.json:
        sys.stdout.write(json.dumps({"scripts": [each._asdict() for each in results]}) + "\n")
    else:
        sys.stdout.write(table(results))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scripts", description="How well each script is read.")
    parser.add_argument("--models", type=lambda names: names.split(","), metavar="M,…", help="these alone (all)")
    parser.add_argument("--engine", default="auto", help="recognition engine (auto)")
    parser.add_argument("--pages", type=int, default=PAGES, metavar="N", help=f"pages a model ({PAGES})")
    parser.add_argument("--seed", type=int, default=1, help="of the pages (1)")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser.parse_args()


def table(results: Sequence[Result]) -> str:
    rows = [f"| {each.model} | {each.script} | {each.ours:.3f} | {each.tesseract:.3f} |" for each in results]
    return "\n".join(["| model | script | inktally | tesseract |", "| --- | --- | ---: | ---: |", *rows]) + "\n"


def models() -> Path:
    """The folder of the command's models."""
    said = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True)
    return Path((said.stdout + said.stderr).partition('in "')[2].partition('"')[0])


def available(wanted: Sequence[str] = tuple(SCRIPTS)) -> list[str]:
    """The models that are installed, whose font is, and that know words of their script."""
    there = set(installed(models()))
    return [model for model in wanted if model in there and _font(model) and len(known_words(model)) >= LEAST_WORDS]


def result(model: str, engine: str, pages: int, seed: int, lines: int = LINES) -> Result:
    """Both read the same pages, one after the other."""
    bare = next(reader for reader in peers() if reader.name == "tesseract")
    is_spaced = SCRIPTS[model].name not in NO_SPACES
    own, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, ours(engine).started() as read, bare.started() as read_bare:
        for number in range(pages):
            picture = Path(folder) / f"{model}{number}.png"
            text = draw(model, picture, seed + number, lines)
            own.append(_score(read, picture, model, text, spaced=is_spaced))
            theirs.append(_score(read_bare, picture, model, text, spaced=is_spaced))
    found = Result(model, SCRIPTS[model].name, round(fmean(own), 4), round(fmean(theirs), 4))
    sys.stderr.write(f"{found}\n")
    return found


def _score(read: Read, picture: Path, model: str, text: str, *, spaced: bool) -> float:
    try:
        found = read(picture, model)
    except Unread:
        return 0.0
    return f1(text, found) if spaced else f1(" ".join(text), " ".join(found))


def f1(truth: str, text: str) -> float:
    wanted, found = Counter(WORD.findall(truth)), Counter(WORD.findall(text))
    both = wanted.total() + found.total()
    return 2 * (wanted & found).total() / both if both else 1.0


def draw(model: str, picture: Path, seed: int, count: int) -> str:
    """A page of words that the model knows, in lines, and its text."""
    chance, script = random.Random(seed), SCRIPTS[model]  # noqa: S311 - nothing secret
    words, is_spaced = known_words(model), script.name not in NO_SPACES
    font = ImageFont.truetype(str(_font(model)), EM)
    direction = "rtl" if script.name in RIGHT_TO_LEFT else "ltr"
    sheet = Image.new("L", (WIDTH, round(2 * MARGIN + count * PITCH * EM)), 255)
    pencil, lines = ImageDraw.Draw(sheet), []
    for number in range(count):
        line = chance.choice(words)
        is_last = number % PARAGRAPH == PARAGRAPH - 1
        most = (WIDTH - 2 * MARGIN) * (chance.uniform(0.3, 0.7) if is_last else 1)
        while True:
            longer = line + " " * is_spaced + chance.choice(words)
            if font.getlength(longer, direction=direction) > most:
                break
            line = longer
        left = WIDTH - MARGIN - font.getlength(line, direction=direction) if direction == "rtl" else MARGIN
        pencil.text((left, MARGIN + number * PITCH * EM), line, fill=0, font=font, direction=direction)
        lines.append(line)
    Image.fromarray(np.asarray(sheet)).save(picture, dpi=(DPI, DPI))
    return "\n".join(lines)


@lru_cache
def _font(model: str) -> Path | None:
    name = SCRIPTS[model].font
    return next((file for folder in FOLDERS if folder.is_dir() for file in folder.rglob(name)), None)


@lru_cache
def known_words(model: str) -> list[str]:
    """Of two to nine letters of the model's script, as its dictionary has them."""
    from fontTools.ttLib import TTFont

    name, font = SCRIPTS[model].name, _font(model)
    assert font is not None
    drawn = TTFont(font, fontNumber=0).getBestCmap()
    letters = r"\p{Han}\p{Hiragana}\p{Katakana}" if name == "Japanese" else rf"\p{{{name}}}\p{{M}}"
    fits = regex.compile(rf"[{letters}]{{2,9}}")
    return [word for word in _dictionary(model) if fits.fullmatch(word) and all(ord(sign) in drawn for sign in word)]


def _dictionary(model: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["combine_tessdata", "-u", models() / f"{model}.traineddata", f"{folder}/m."],
            capture_output=True,
            check=True,
        )
        made = subprocess.run(
            ["dawg2wordlist", f"{folder}/m.lstm-unicharset", f"{folder}/m.lstm-word-dawg", f"{folder}/words"],
            capture_output=True,
            check=False,
        )
        return Path(folder, "words").read_text("utf-8").split("\n") if made.returncode == 0 else []


if __name__ == "__main__":
    sys.exit(main())
