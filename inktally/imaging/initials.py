"""Drop capitals: the first letter of a text, as high as several lines, is set back to the size of its word.

Engines read it as a word of its own, as a picture, or make the first words of two lines one. Once it is as high as the
other letters, and stands before the first of them, it is a letter like any other.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Boxes, Components, brought_near, components, grey, ink

Pixels = NDArray[np.uint8]

# In sizes of the page's letters, which are about as high as an x:
LOWEST, HIGHEST = 3.0, 10.0
NEAREST_LEFT = 2.5  # white before a capital
GAP = 1.6  # between it and the lines beside it
LEVEL = 1.3  # that its head and that of the first line may differ
LETTER = 0.5, 2.4  # height
NARROWEST, WIDEST = 0.15, 1.7  # of its own height
BESIDE = 12.0  # of the first line, as far as its height is measured
KERN = 0.12  # between it and its word, once it is lowered
FEWEST = 3  # letters of each of two lines


class Initial(NamedTuple):
    """A drop capital (left, top, right, bottom), and where it is to stand: its right edge, baseline and height."""

    box: tuple[int, int, int, int]
    right: int
    baseline: int
    height: int


class Measured(NamedTuple):
    """What hangs together on a page that was brought to `scale`."""

    components: Components
    scale: float

    @classmethod
    def of(cls, pixels: Pixels) -> Measured:
        near, scale = brought_near(grey(pixels))
        return cls(components(ink(near)), scale)


def lowered(pixels: Pixels, size: float, measured: Measured | None = None) -> Pixels | None:
    """The page with its drop capitals as letters of the first lines; None where it has none.

    `size` is that of its letters, in its pixels; `measured` need not be given where nobody has measured these pixels.
    """
    hanging, scale = measured or Measured.of(pixels)
    found = initials(_boxes(hanging), size * scale)
    if not found:
        return None
    page = pixels.copy()
    for each in found:
        _lower(page, each, scale)
    return page


def _boxes(found: Components) -> Boxes:
    """Left, top, right and bottom."""
    left, top, width, height = found[:, :4].T.astype(np.float32)
    return np.stack([left, top, left + width, top + height], axis=1)


def initials(boxes: Boxes, size: float) -> list[Initial]:
    """The drop capitals among the boxes (left, top, right, bottom) of a page whose letters have this size."""
    if not size or not len(boxes):
        return []
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    is_tall = (high > LOWEST * size) & (high < HIGHEST * size) & (wide > NARROWEST * high) & (wide < WIDEST * high)
    is_tall &= boxes[:, 0] > 1  # what touches the edge of the page is its edge
    letters = boxes[(high > LETTER[0] * size) & (high < LETTER[1] * size) & (wide < LETTER[1] * size * 2)]
    tall = boxes[is_tall]
    found = [_initial(box, letters, tall, size) for box in tall]
    return [each for each in found if each is not None]


def _initial(box: NDArray[np.float32], letters: Boxes, tall: Boxes, size: float) -> Initial | None:
    left, top, right, bottom = (float(edge) for edge in box)
    if _stands_near(box, tall) or _has_letters_before(box, letters, size):
        return None
    middles = (letters[:, 1] + letters[:, 3]) / 2
    beside = letters[(middles > top - size) & (middles < bottom + size / 2) & (letters[:, 0] > right - size / 4)]
    lines = _lines(beside[beside[:, 0] < right + BESIDE * size], size)
    lines = [line for line in lines if len(line) >= FEWEST and line[:, 0].min() < right + GAP * size]
    if len(lines) < 2:  # noqa: PLR2004 - a capital beside one line is a large letter
        return None
    first = lines[0]
    height = float(np.percentile(first[:, 3] - first[:, 1], 90))
    baseline = float(np.median(first[:, 3]))
    if abs(baseline - height - top) > LEVEL * size:
        return None
    start = float(first[:, 0].min()) - KERN * size
    return Initial((int(left), int(top), round(right), round(bottom)), round(start), round(baseline), round(height))


def _stands_near(box: NDArray[np.float32], tall: Boxes) -> bool:
    """Whether another large letter stands beside: then it is a heading."""
    high = box[3] - box[1]
    overlap = np.minimum(tall[:, 3], box[3]) - np.maximum(tall[:, 1], box[1])
    gap = np.maximum(tall[:, 0] - box[2], box[0] - tall[:, 2])
    return int(((overlap > high / 3) & (gap < high)).sum()) > 1  # itself is one


def _has_letters_before(box: NDArray[np.float32], letters: Boxes, size: float) -> bool:
    middles = (letters[:, 1] + letters[:, 3]) / 2
    gap = box[0] - letters[:, 2]
    return bool(((middles > box[1]) & (middles < box[3]) & (gap > -size / 4) & (gap < NEAREST_LEFT * size)).any())


def _lines(letters: Boxes, size: float) -> list[Boxes]:
    """From the top; a line begins where no letter of the one before reaches."""
    ordered = letters[np.argsort((letters[:, 1] + letters[:, 3]) / 2)]
    lines: list[list[NDArray[np.float32]]] = []
    for letter in ordered:
        middle = (letter[1] + letter[3]) / 2
        if not lines or middle - (lines[-1][-1][1] + lines[-1][-1][3]) / 2 > 0.6 * size:
            lines.append([])
        lines[-1].append(letter)
    return [np.array(line) for line in lines]


def _lower(page: Pixels, initial: Initial, scale: float) -> None:
    left, top, right, bottom = (round(edge / scale) for edge in initial.box)
    edge = 2
    rows = slice(max(0, top - edge), bottom + edge)
    place = page[rows, max(0, left - edge) : right + edge]
    capital = place.copy()
    rim = np.concatenate([place[0], place[-1], place[:, 0], place[:, -1]])
    place[:] = np.median(rim, axis=0).astype(np.uint8)
    factor = initial.height / (initial.box[3] - initial.box[1])
    width, height = (max(1, round(side * factor)) for side in (capital.shape[1], capital.shape[0]))
    small = cv2.resize(capital, (width, height), interpolation=cv2.INTER_AREA)
    foot, end = round(initial.baseline / scale) + round(edge * factor), round(initial.right / scale)
    head, start = foot - height, end - width
    if head >= 0 and start >= 0 and foot <= page.shape[0]:
        page[head:foot, start:end] = np.minimum(page[head:foot, start:end], small)
