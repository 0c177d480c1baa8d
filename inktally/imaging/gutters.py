"""Columns of a page, by the white strips between them."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.textmask import Area, Mask, TextMask, closed, opened, runs

# In heights of the page's letters:
GUTTER_WIDTH = 0.4
GUTTER_SHIFT = 1.0  # how far the gutter of a page that is not quite upright may wander
WIDE_GUTTER = 2.0
ISLAND_GAP = 1.2  # white that parts an island in a gutter from the columns
COLUMN_WIDTH = 8.0  # about sixteen letters; what is narrower is a list of numbers, not a column

# In lines:
WIDE_LINES, NARROW_LINES = 6, 12  # beside a gutter; what is narrow and shorter may be the spaces of a typewriter
ISLAND_LINES = 8  # a caption across a gutter that is not taller than this does not end the columns
END_LINES = 2.5
END_GAP = 1.0

RUNNING_TEXT = 0.65  # the share of a line that words cover; half-empty rows are a table's
HALF, NEARLY = 0.5, 0.98  # of the whitest part: so white are the width of a gutter, and its middle
RULE_ACROSS = 0.5  # a rule over this share of the columns' width ends them, ...
WIDE_ISLAND = 0.8  # ... and so does a line of this share of a usual line


@dataclass(frozen=True)
class Gutter:
    """A white strip between columns, and what stands upon it without ending them, as captions do."""

    area: Area
    islands: tuple[Area, ...]


def columns(text: TextMask, area: Area) -> list[Area]:
    """The columns of an area, and what stands above, across and below them, in reading order."""
    gutter = _gutter(text, area)
    if gutter is None:
        found = text.around(area)
        return [found] if found else []
    strip, beside_islands = gutter.area, text.without(gutter.islands)
    beside = replace(area, top=strip.top, bottom=strip.bottom)
    return [
        *columns(text, replace(area, bottom=strip.top)),
        *columns(beside_islands, replace(beside, right=strip.left)),
        *columns(beside_islands, replace(beside, left=strip.right)),
        *gutter.islands,
        *columns(text, replace(area, top=strip.bottom)),
    ]


def _gutter(text: TextMask, partition: Area) -> Gutter | None:
    """The whitest gutter of an area."""
    tall, area = int(WIDE_LINES * text.pitch), text.around(partition)
    if area is None or area.height < tall:
        return None
    white = opened(1 - (area.of(text.letters) | area.of(text.rules)), int(GUTTER_WIDTH * text.letter) + 1, tall)
    strips = cv2.dilate(white, np.ones((1, int(GUTTER_SHIFT * text.letter)), np.uint8)).astype(np.uint8)
    tops, bottoms = _tallest(closed(strips, 0, int(ISLAND_LINES * text.pitch)))
    whiteness = _whiteness(white, tops, bottoms)
    whiteness[bottoms - tops < tall] = 0
    while whiteness.any():  # not every white strip has columns beside it
        begin, end, x = _peak(whiteness)
        strip = Area(area.left + x, area.top + int(tops[x]), area.left + x + 1, area.top + int(bottoms[x]))
        gutter = _uncrossed(text, area, strip, strips[tops[x] : bottoms[x], x] == 0)
        lines = WIDE_LINES if end - begin > WIDE_GUTTER * text.letter else NARROW_LINES
        if _has_columns(text, area, gutter.area, lines):
            return gutter
        whiteness[begin:end] = 0
    return None


def _whiteness(white: Mask, tops: NDArray[np.int_], bottoms: NDArray[np.int_]) -> NDArray[np.int_]:
    """For each column of pixels how many are white from its top to its bottom."""
    total = np.cumsum(np.pad(white, ((1, 0), (0, 0))), axis=0, dtype=np.int_)
    across = np.arange(white.shape[1])
    return total[bottoms, across] - total[tops, across]


def _peak(whiteness: NDArray[np.int_]) -> tuple[int, int, int]:
    """Where the whitest strip begins and ends, and where it is whitest."""
    highest = int(whiteness.argmax())
    begin, end = next(run for run in runs(whiteness >= whiteness[highest] * HALF) if run[0] <= highest < run[1])
    best = begin + np.flatnonzero(whiteness[begin:end] >= whiteness[highest] * NEARLY)
    return begin, end, int(best[len(best) // 2])


def _tallest(mask: Mask) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """For each column of pixels where its tallest run of ones begins and ends."""
    run = np.zeros(mask.shape[1], np.int_)
    tallest, ends = run.copy(), run.copy()
    for y, row in enumerate(mask, 1):
        run = (run + 1) * row
        grown = run > tallest
        tallest[grown], ends[grown] = run[grown], y
    return ends - tallest, ends


def _uncrossed(text: TextMask, area: Area, strip: Area, crossed: NDArray[np.bool_]) -> Gutter:
    """The tallest part of a strip that nothing wide crosses, with the islands in it."""
    strip, crossed = _without_ends(text, area, strip, crossed)
    usual = _usual_width(text, replace(area, top=strip.top, bottom=strip.bottom))
    islands, ends = [], [strip.top]
    for begin, end in runs(crossed):
        island = _island(text, area, replace(strip, top=strip.top + begin, bottom=strip.top + end))
        if island is None or island.width > WIDE_ISLAND * usual:
            ends += [strip.top + begin, strip.top + end]
        elif min(island.width, island.height) > text.letter / 2:
            islands.append(island)
    ends.append(strip.bottom)
    top, bottom = max(zip(ends[::2], ends[1::2], strict=True), key=lambda part: part[1] - part[0])
    within = [island for island in islands if top <= island.top and island.bottom <= bottom]
    return Gutter(replace(strip, top=top, bottom=bottom), tuple(within))


def _without_ends(
    text: TextMask, area: Area, strip: Area, crossed: NDArray[np.bool_]
) -> tuple[Area, NDArray[np.bool_]]:
    """The strip without a headline whose words it happens to part: a few lines, far from the others, with no bar."""
    beside = replace(area, top=strip.top, bottom=strip.bottom)
    edge = round(text.letter)
    barred = text.bars[strip.top : strip.bottom, max(0, strip.left - edge) : strip.right + edge].any(axis=1)
    rows = np.asarray(beside.of(text.lines).any(axis=1) | barred)
    bands = runs(closed(rows[:, None].astype(np.uint8), 0, int(END_GAP * text.pitch))[:, 0] > 0)
    while len(bands) > 1 and bands[0][1] - bands[0][0] < END_LINES * text.pitch:
        del bands[0]
    while len(bands) > 1 and bands[-1][1] - bands[-1][0] < END_LINES * text.pitch:
        del bands[-1]
    if not bands:
        return strip, crossed
    top, bottom = max(0, bands[0][0] - edge), bands[-1][1] + edge
    return replace(strip, top=strip.top + top, bottom=min(strip.bottom, strip.top + bottom)), crossed[top:bottom]


def _usual_width(text: TextMask, area: Area) -> float:
    """How much of a row of the area words cover."""
    covered = area.of(text.lines).sum(axis=1, dtype=np.int32)
    return float(np.median(covered[covered > 0])) if covered.any() else 0.0


def _island(text: TextMask, area: Area, crossing: Area) -> Area | None:
    """What stands on the gutter there, to its white edges; None for a rule across the columns."""
    band = replace(area, top=crossing.top, bottom=crossing.bottom)
    if band.of(text.rules).max(axis=0).mean() > RULE_ACROSS:
        return None
    row = closed(band.of(text.letters).max(axis=0)[None, :], int(ISLAND_GAP * text.letter), 0)[0]
    left, right = crossing.left - area.left, crossing.right - area.left
    for begin, end in runs(row > 0):
        if begin < right and end > left:
            left, right = begin, end
    return replace(crossing, left=area.left + left, right=area.left + right)


def _has_columns(text: TextMask, area: Area, gutter: Area, lines: int) -> bool:
    """Whether running text of so many lines stands left and right of the gutter."""
    left = replace(gutter, left=area.left, right=gutter.left)
    right = replace(gutter, left=gutter.right, right=area.right)
    if min(left.width, right.width, gutter.height) <= 0:
        return False
    beside = (left.of(text.lines).sum(axis=1) > text.letter) & (right.of(text.lines).sum(axis=1) > text.letter)
    return bool(beside.sum() >= lines * text.letter and _is_running(text, left) and _is_running(text, right))


def _is_running(text: TextMask, area: Area) -> bool:
    """Whether an area is full of lines, as prose is, rather than of cells or numbers."""
    lines = area.of(text.lines)
    covered = lines.sum(axis=1, dtype=np.int32)
    rows = covered > text.letter
    if not rows.any():
        return False
    extent = lines.shape[1] - lines.argmax(axis=1) - lines[:, ::-1].argmax(axis=1)
    is_wide = np.percentile(extent[rows], 75) >= COLUMN_WIDTH * text.letter
    return bool(is_wide and np.median(covered[rows] / extent[rows]) >= RUNNING_TEXT)
