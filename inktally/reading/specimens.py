"""Some words of a text layer, cut out of the page and set on one sheet, to hear from an engine what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple
from unicodedata import normalize

import cv2
import numpy as np

from inktally.document import Box, Word
from inktally.imaging.decoding.pdf_layer import TextRun
from inktally.imaging.decoding.pdf_shown import Shown
from inktally.imaging.glyphs import Grey
from inktally.imaging.page import PageImage

SHORTEST, LONGEST = 3, 16  # letters and digits of a word that tells something, and can be read as one
MOST = 8  # words that show the letters of the page
LINE_HEIGHT = 44  # pixels of a line on the sheet; letters of a fair size for engines
BLANK, WIDTH = 26, 1500  # pixels between words, and of the sheet
LEAST_RANGE = 24  # grey levels between the ink and the paper of a word
TWINS = str.maketrans("1i|0", "lllo")


class Heard(NamedTuple):
    """What an engine read in the place of a word, and its mean confidence (0 to 100); empty: nothing."""

    text: str
    confidence: float


def folded(text: str) -> str:
    """Letters and digits alone, in the one form that can be compared."""
    return "".join(character for character in normalize("NFKC", text).casefold() if character.isalnum())


def likeness(first: str, second: str) -> float:
    """Of two folded words, 0 to 1."""
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def without_twins(text: str) -> str:
    """Folded, without the letters and digits that no engine tells apart."""
    return folded(text).translate(TWINS)


def spread(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of them, from all over the page."""
    return list(numbers[:: max(1, -(-len(numbers) // most))])


def chosen(runs: Sequence[TextRun], numbers: Iterable[int]) -> list[int]:
    """Few words that show as many as they can of the letters of every font."""
    left = {n: text for n in sorted(numbers) if SHORTEST <= len(text := folded(runs[n].text)) <= LONGEST}
    wanted = {(runs[n].style.font, letter) for n, text in left.items() for letter in text}
    picked: list[int] = []
    while left and wanted and len(picked) < MOST:
        best = max(left, key=lambda n: len({(runs[n].style.font, letter) for letter in left[n]} & wanted))
        wanted -= {(runs[best].style.font, letter) for letter in left.pop(best)}
        picked.append(best)
    return picked


def heard(
    runs: Sequence[TextRun], numbers: Sequence[int], shown: Shown, ask: Callable[[PageImage], Sequence[Word]]
) -> Mapping[int, Heard]:
    """What `ask` reads in the places of these words."""
    if not numbers:
        return {}
    cells = {number: cell for number in numbers if (cell := _cell(runs[number], shown)) is not None}
    sheet, boxes = _sheet(cells)
    found: dict[int, list[Word]] = {number: [] for number in cells}
    for word in ask(PageImage(sheet, dpi=300)) if cells else ():
        x, y = word.box.left + word.box.width / 2, word.box.top + word.box.height / 2
        home = next((number for number, box in boxes.items() if _holds(box, x, y)), None)
        if home is not None:
            found[home].append(word)
    return {number: _heard(words) for number, words in found.items()}


def _heard(words: Sequence[Word]) -> Heard:
    text = "".join(word.text for word in sorted(words, key=lambda word: word.box.left))
    return Heard(text, sum(word.confidence for word in words) / max(1, len(words)))


def _holds(box: Box, x: float, y: float) -> bool:
    return box.left - BLANK / 2 <= x <= box.left + box.width + BLANK / 2 and box.top <= y <= box.top + box.height


def _cell(run: TextRun, shown: Shown) -> Grey | None:
    """A word dark on white, upright, in the height of the sheet's lines; None where there is nothing to be seen."""
    left, top, right, bottom = run.box
    line = run.room if run.style.quarters % 2 == 0 else (run.room[1], run.room[0], run.room[3], run.room[2])
    cut = shown.crop((left, top, right, bottom), margin=2.0)
    if not cut.size:
        return None
    upright = np.ascontiguousarray(np.rot90(cut, run.style.quarters))
    low, high = int(upright.min()), int(upright.max())
    if high - low < LEAST_RANGE:
        return None
    level = upright.astype(np.float32)
    edge = np.concatenate([level[0], level[-1], level[:, 0], level[:, -1]])
    if np.median(edge) < (low + high) / 2:
        level = low + high - level
    stretched = np.clip((level - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    scale = LINE_HEIGHT / max(4.0, (line[3] - line[1]) * shown.scale)
    width, height = (max(1, round(side * scale)) for side in (stretched.shape[1], stretched.shape[0]))
    if height > 2 * LINE_HEIGHT or width > WIDTH - 2 * BLANK:
        return None
    return np.asarray(cv2.resize(stretched, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _sheet(cells: Mapping[int, Grey]) -> tuple[Grey, dict[int, Box]]:
    """The words in lines, at one height, and where each is."""
    high = 2 * LINE_HEIGHT
    boxes: dict[int, Box] = {}
    left, top = BLANK, BLANK
    for number, cell in cells.items():
        height, width = cell.shape
        if left + width + BLANK > WIDTH:
            left, top = BLANK, top + high
        boxes[number] = Box(left=left, top=top + high - LINE_HEIGHT // 2 - height, width=width, height=height)
        left += width + BLANK
    right = max((box.left + box.width for box in boxes.values()), default=0)
    sheet = np.full((top + high + BLANK, right + BLANK), 255, np.uint8)
    for number, box in boxes.items():
        sheet[max(0, box.top) : box.top + box.height, box.left : box.left + box.width] = cells[number][-box.height :]
    return sheet, boxes
