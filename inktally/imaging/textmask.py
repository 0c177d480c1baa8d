"""Where text stands on a page, seen from afar: enough to find columns and margins, too little to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import shrunk
from inktally.imaging.page import PageImage

Mask = NDArray[np.uint8]
"""0 or 1 for each pixel of the shrunken page."""

LONGEST_SIDE = 1600  # pixels that are looked at; letters of A4 are still 7 to 10 high
FEWEST_LETTERS = 40
LEAST_HEIGHT = 4  # pixels
INK_WINDOW, INK_CONTRAST = 51, 20  # ink is darker by 20 of 255 than the mean of a window of 51 x 51 pixels

# In heights of the page's letters:
LINE_GAP = 2.0  # words that are nearer than this are one piece of a line
PICTURE_SIDE = 6.0
RULE_LENGTH = 10.0
BAR_LENGTH = 4.0
SHORTEST_PITCH, LONGEST_PITCH = 1.3, 8.0


@dataclass(frozen=True)
class Area:
    """A rectangle of the shrunken page; `right` and `bottom` are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def of(self, mask: Mask) -> Mask:
        return mask[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class TextMask:
    """The `letters` of a page, the pieces of `lines` they make, the `rules` across it and the `bars` down it.

    `letter` is the usual height of a letter, `pitch` the distance from line to line, both in pixels of the masks,
    which are `shrink` times those of the page.
    """

    letters: Mask
    lines: Mask
    rules: Mask
    bars: Mask
    letter: float
    pitch: float
    shrink: float

    @property
    def area(self) -> Area:
        return Area(0, 0, self.letters.shape[1], self.letters.shape[0])

    def without(self, areas: Sequence[Area]) -> TextMask:
        """The same page with nothing in these areas."""
        letters, lines = self.letters.copy(), self.lines.copy()
        for area in areas:
            area.of(letters)[:] = 0
            area.of(lines)[:] = 0
        return replace(self, letters=letters, lines=lines)

    def around(self, area: Area) -> Area | None:
        """What of the area holds its text, with a letter's height of white; None when there is no text."""
        x, y, width, height = cv2.boundingRect(area.of(self.lines))
        if height < self.letter / 2:
            return None
        left, top, edge = area.left + x, area.top + y, round(self.letter)
        return Area(
            left=max(area.left, left - edge),
            top=max(area.top, top - edge),
            right=min(area.right, left + width + edge),
            bottom=min(area.bottom, top + height + edge),
        )


def text_mask(page: PageImage) -> TextMask | None:
    """The text of a page; None where there are too few letters to speak of columns."""
    shrink = min(1.0, LONGEST_SIDE / max(page.width, page.height))
    ink = _ink(page, shrink)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(ink)
    width, height = facts[:, cv2.CC_STAT_WIDTH], facts[:, cv2.CC_STAT_HEIGHT]
    is_sized = (height >= LEAST_HEIGHT) & (height < ink.shape[0] / 15)
    candidates = is_sized & (width < 8 * height) & (width > height / 10)
    candidates[0] = False  # the paper
    if candidates.sum() < FEWEST_LETTERS:
        return None
    weights = np.minimum(width, height)[candidates]
    letter = float(np.quantile(height[candidates], 0.5, method="inverted_cdf", weights=weights))
    candidates &= (height > letter / 3) & (height < letter * 4)
    without_pictures = _without_pictures(ink, np.asarray(facts, np.int32), letter)
    bars = opened(without_pictures, 1, int(BAR_LENGTH * letter))
    letters = candidates.astype(np.uint8)[labels] & without_pictures & (1 - bars)
    return TextMask(
        letters=letters,
        lines=closed(letters, int(LINE_GAP * letter), int(letter / 5)),
        rules=_rules(without_pictures, bars, letter),
        bars=bars,
        letter=letter,
        pitch=_pitch(letters, letter),
        shrink=shrink,
    )


def _ink(page: PageImage, shrink: float) -> Mask:
    grey = cv2.cvtColor(page.pixels, cv2.COLOR_RGB2GRAY) if page.pixels.shape[2:] else page.pixels
    if shrink < 1:
        grey = shrunk(np.asarray(grey, np.uint8), shrink)
    mean, inverted = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV
    return np.asarray(cv2.adaptiveThreshold(grey, 1, mean, inverted, INK_WINDOW, INK_CONTRAST), np.uint8)


def _without_pictures(ink: Mask, facts: NDArray[np.int32], letter: float) -> Mask:
    """The ink without what is large and mostly black; a frame is large, too, but mostly white."""
    left = ink.copy()
    for x, y, width, height, area in facts[1:]:
        if min(width, height) > PICTURE_SIDE * letter and area > 0.4 * width * height:
            left[y : y + height, x : x + width] = 0
    return left


def _rules(ink: Mask, bars: Mask, letter: float) -> Mask:
    """Lines across, but not where they meet lines down the page: those are the grid of a table or of several pages."""
    reach = np.ones((int(2 * letter), int(2 * letter)), np.uint8)
    away = 1 - np.asarray(cv2.dilate(bars, reach), np.uint8)
    return np.asarray(opened(ink, int(RULE_LENGTH * letter), 1) & away, np.uint8)


def _pitch(letters: Mask, letter: float) -> float:
    """From line to line, by how narrow strips of the page resemble themselves when they are shifted down."""
    strips = np.stack([strip.mean(axis=1) for strip in np.array_split(letters, 16, axis=1)], axis=1)
    spectrum = np.fft.rfft(strips - strips.mean(axis=0), 2 * len(strips), axis=0)
    alike = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1))
    shortest, longest = int(SHORTEST_PITCH * letter), int(LONGEST_PITCH * letter)
    alike = alike[shortest - 1 : longest + 1]
    peaks = 1 + np.flatnonzero((alike[1:-1] >= alike[:-2]) & (alike[1:-1] >= alike[2:]))
    peaks = peaks[alike[peaks] > 0]
    if not peaks.size:  # a single line resembles nothing
        return 2 * letter
    return float(shortest - 1 + peaks[alike[peaks] >= 0.7 * alike[peaks].max()][0])


def closed(mask: Mask, width: int, height: int) -> Mask:
    """Gaps up to this width and height are filled."""
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((height + 1, width + 1), np.uint8)).astype(np.uint8)


def opened(mask: Mask, width: int, height: int) -> Mask:
    """What is narrower or lower than this vanishes, at the edges as well."""
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    kernel = np.ones((max(1, height), max(1, width)), np.uint8)
    return cv2.morphologyEx(framed, cv2.MORPH_OPEN, kernel)[1:-1, 1:-1].astype(np.uint8)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a row of flags is true: begins and ends, the end outside."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
