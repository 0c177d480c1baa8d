"""Pages of rows, drawn from a seed: lists, tables, receipts, price lists and indexes, as a scanner sees them.

Their lines are short, and what stands in them aligns in columns as sharply as in rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Row = Sequence[str]
"""The cells of a row."""

FOLDERS = (Path("/usr/share/fonts/truetype"), Path("/usr/share/fonts/opentype"))
PROPORTIONAL = (
    "DejaVuSans.ttf", "DejaVuSerif.ttf", "LiberationSans-Regular.ttf", "LiberationSerif-Regular.ttf",
    "FreeSans.ttf", "FreeSerif.ttf", "NotoSans-Regular.ttf", "NotoSerif-Regular.ttf", "Carlito-Regular.ttf",
    "Caladea-Regular.ttf",
)  # fmt: skip
MONOSPACED = ("DejaVuSansMono.ttf", "LiberationMono-Regular.ttf", "FreeMono.ttf")
PACKAGES = (
    "fonts-dejavu fonts-liberation fonts-freefont-ttf fonts-noto-core fonts-crosextra-carlito fonts-crosextra-caladea"
)
FEWEST_FONTS = 5
WORDS = 4000  # the commonest English ones of which the rows are made
ON_A4 = 0.6  # the share of pages
SKEW = 2.0  # degrees to both sides
GRAIN = 8.0  # standard deviation in grey levels, at the most


@dataclass(frozen=True)
class RowPage:
    """An upright page, what stands on it, and what kind of page it is."""

    pixels: Pixels
    text: str
    kind: str
    dpi: int


@dataclass(frozen=True)
class _Layout:
    """Rows of cells in columns of the page; widths of cells are in ems, negative ones are set flush right."""

    rows: Sequence[Row]
    widths: Sequence[int]
    columns: int
    rules: str = ""
    """`rows`, `grid` or nothing."""
    monospaced: bool = False


def page(seed: int, *, dpi: int = 150, most_rows: int = 300, on_a4: float = ON_A4) -> RowPage:
    """The page of a seed; of all pages, the share `on_a4` is at least that large.

    Raises `FileNotFoundError` where fewer than `FEWEST_FONTS` fonts are installed.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    kind = chance.choice(sorted(KINDS))
    count = round(20 * (most_rows / 20) ** chance.random())  # as many short pages as long ones
    layout = KINDS[kind](chance, count)
    points = chance.uniform(8, 12)
    return RowPage(
        pixels=_scanned(_drawn(layout, chance, round(points / 72 * dpi), dpi, on_a4), chance, dpi),
        text="\n".join(" ".join(row) for row in layout.rows),
        kind=kind,
        dpi=dpi,
    )


def fonts() -> dict[str, Path]:
    """The fonts that are installed, by the names of their files."""
    found = {file.name: file for folder in FOLDERS if folder.is_dir() for file in sorted(folder.rglob("*.?tf"))}
    known = {name: found[name] for name in (*PROPORTIONAL, *MONOSPACED) if name in found}
    if len(known) < FEWEST_FONTS or not any(name in known for name in MONOSPACED):
        raise FileNotFoundError(f"Too few fonts are installed here. apt-get install {PACKAGES}")
    return known


def _list(chance: random.Random, count: int) -> _Layout:
    columns = _columns(chance, count, 4)
    numbered, longest = _maybe(chance, 0.3), chance.choice((1, 1, 2, 3))
    rows = [
        [*([f"{number}."] if numbered else []), _name(chance, chance.randint(1, longest))]
        for number in range(1, count + 1)
    ]
    return _Layout(rows, [*([3] if numbered else []), 5 * longest + 2], columns, monospaced=_maybe(chance, 0.3))


def _table(chance: random.Random, count: int) -> _Layout:
    cells = chance.randint(2, 6)
    words = [_maybe(chance, 0.5) for _ in range(cells)]
    words[0] = True
    rows = [[_name(chance, 1) if is_word else _number(chance) for is_word in words] for _ in range(count - 1)]
    rules = chance.choice(("", "rows", "grid"))
    return _Layout(
        [[_name(chance, 1).capitalize() for _ in words], *rows],
        [8 if is_word else chance.choice((6, -6)) for is_word in words],
        1,
        rules,
        monospaced=_maybe(chance, 0.3),
    )


def _receipt(chance: random.Random, count: int) -> _Layout:
    rows = [[str(chance.randint(1, 9)), _name(chance, chance.randint(1, 2)), _price(chance)] for _ in range(count - 2)]
    total = [["", word, _price(chance)] for word in ("TOTAL", "CASH")]
    upper = _maybe(chance, 0.5)
    rows = [[cell.upper() if upper else cell for cell in row] for row in [*rows, *total]]
    return _Layout(rows, [2, 13, -5], 1, monospaced=_maybe(chance, 0.8))


def _price_list(chance: random.Random, count: int) -> _Layout:
    rows: list[Row] = []
    while len(rows) < count:
        if len(rows) % 15 == 0 and _maybe(chance, 0.7):
            rows.append([_name(chance, 1).capitalize(), ""])
        rows.append([_name(chance, chance.randint(1, 3)).capitalize(), _price(chance)])
    columns = _columns(chance, count, 3)
    return _Layout(rows, [15, -5], columns, chance.choice(("", "", "rows")), monospaced=_maybe(chance, 0.2))


def _index(chance: random.Random, count: int) -> _Layout:
    entries = sorted(_name(chance, 1) for _ in range(count))
    rows = [
        [f"{entry}, {', '.join(str(chance.randint(1, 400)) for _ in range(chance.randint(1, 3)))}"] for entry in entries
    ]
    return _Layout(rows, [13], max(2, _columns(chance, count, 6)), monospaced=_maybe(chance, 0.1))


KINDS: dict[str, Callable[[random.Random, int], _Layout]] = {
    "list": _list,
    "table": _table,
    "receipt": _receipt,
    "price list": _price_list,
    "index": _index,
}


def _columns(chance: random.Random, count: int, most: int) -> int:
    """Some columns, none of which is shorter than ten rows."""
    return chance.randint(1, max(1, min(most, count // 10)))


def _maybe(chance: random.Random, share: float) -> bool:
    return chance.random() < share


@lru_cache
def _words() -> list[str]:
    from wordfreq import top_n_list

    return [word for word in top_n_list("en", WORDS) if word.isascii() and word.isalpha() and len(word) > 2]  # noqa: PLR2004


def _name(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_words(), k=words))


def _number(chance: random.Random) -> str:
    return str(chance.randint(1, 10 ** chance.randint(1, 5)))


def _price(chance: random.Random) -> str:
    return f"{chance.randint(0, 99)}.{chance.randint(0, 99):02}"


def _drawn(layout: _Layout, chance: random.Random, em: int, dpi: int, on_a4: float) -> Pixels:
    """Black on white, on A4 where they fit, or on paper as wide and as high as the rows ask for."""
    known = fonts()
    names = [name for name in (MONOSPACED if layout.monospaced else PROPORTIONAL) if name in known]
    font = ImageFont.truetype(str(known[chance.choice(names)]), em)
    unit = font.getlength("0") * (1 if layout.monospaced else 1.1) * 1.2
    pitch, margin = round(em * chance.uniform(1.15, 1.8)), 5 * em
    deep = -(-len(layout.rows) // layout.columns)
    wide = [
        round(max(abs(width) * unit, max(font.getlength(row[cell]) for row in layout.rows) + unit))
        for cell, width in enumerate(layout.widths)
    ]
    column = sum(wide) + round(unit * chance.uniform(1, 4))
    width, height = 2 * margin + column * layout.columns, 2 * margin + pitch * deep
    if _maybe(chance, on_a4):
        width, height = max(width, round(8.27 * dpi)), max(height, round(11.69 * dpi))
    sheet = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(layout.rows):
        left, top = margin + number // deep * column, margin + number % deep * pitch
        for cell, width, space in zip(row, layout.widths, wide, strict=True):
            inset = space - unit / 2 - font.getlength(cell) if width < 0 else 0
            draw.text((left + inset, top), cell, fill=0, font=font)
            if layout.rules == "grid":
                draw.line((left - unit / 3, top, left - unit / 3, top + pitch), fill=0)
            left += space
        if layout.rules:
            draw.line((left - sum(wide) - unit / 3, top + pitch - 1, left - unit / 3, top + pitch - 1), fill=0)
    return np.asarray(sheet)


def _scanned(sheet: Pixels, chance: random.Random, dpi: int) -> Pixels:
    """Skewed, a little blurred, with grain and some specks; a third of the pages is clean."""
    if _maybe(chance, 1 / 3):
        return sheet
    noise = np.random.default_rng(chance.getrandbits(32))
    turned = Image.fromarray(sheet).rotate(
        chance.uniform(-SKEW, SKEW), Image.Resampling.BICUBIC, expand=True, fillcolor=255
    )
    pixels = cv2.GaussianBlur(np.asarray(turned), (0, 0), chance.uniform(0.2, 0.8) * dpi / 150).astype(np.float32)
    pixels = chance.uniform(20, 70) + pixels * (chance.uniform(170, 185) / 255)
    pixels += noise.normal(0, chance.uniform(0, GRAIN), pixels.shape)
    specks = noise.random(pixels.shape) < chance.uniform(0, 0.0004)
    pixels[specks] = chance.uniform(0, 60)
    return np.clip(pixels, 0, 255).astype(np.uint8)
