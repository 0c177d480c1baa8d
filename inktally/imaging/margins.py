"""Headers, footers and page numbers: lines that stand alone above or below running text, at the edge of the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inktally.document import SectionKind
from inktally.imaging.textmask import Area, TextMask, closed, runs

# In heights of the page's letters:
USUAL_LINE = 1.5  # from the highest to the lowest point of a line; the rest of the pitch is white
LINE_HEIGHT = 2.6  # of one line at most
FAR_GAP = 4.0  # below a line at the very edge of the page
NUMBER_WIDTH = 6.0
NUMBER_GAP = 3.0
EDGE_GAP = 4.0

# In lines:
MARGIN_GAP = 0.35  # white below a header, more than between two lines
MARGIN_LINES = 3
BODY_LINES = 4  # that follow each other evenly

EDGE_ZONE, MARGIN_ZONE, NUMBER_ZONE = 0.1, 0.15, 0.2  # of the page's height
FOOTER_WIDTH = 0.8  # of the body's; what is as wide as the text may be its last paragraph, or a note


@dataclass(frozen=True)
class Margins:
    """A page's `body`, and what stands above and below it."""

    headers: tuple[tuple[SectionKind, Area], ...]
    body: Area
    footers: tuple[tuple[SectionKind, Area], ...]


@dataclass(frozen=True)
class Band:
    """A row of text; `right` and `bottom` are outside, `covered` is how much of its width is not white."""

    top: int
    bottom: int
    left: int
    right: int
    covered: int


def margins(text: TextMask) -> Margins:
    """Part a page into headers, body and footers; the body is all of it where nothing stands alone."""
    page, bands = text.area, _bands(text)
    upside_down = [replace(b, top=page.bottom - b.bottom, bottom=page.bottom - b.top) for b in reversed(bands)]
    above, below = _alone(text, bands, _may_be_header), _alone(text, upside_down, _may_be_footer)
    body = bands[above : len(bands) - below]
    if len(body) == len(bands) or not body:
        return Margins((), page, ())
    headers = [part for band in bands[:above] for part in _parts(text, band, "header")]
    footers = [part for band in bands[len(bands) - below :] for part in _parts(text, band, "footer")]
    edge = round(text.letter)
    top = max(bands[above - 1].bottom, body[0].top - edge) if above else 0
    bottom = min(bands[-below].top, body[-1].bottom + edge) if below else page.bottom
    return Margins(tuple(headers), replace(page, top=top, bottom=bottom), tuple(footers))


def _bands(text: TextMask) -> list[Band]:
    """The rows of text, from the top; columns whose lines are not level give one tall band."""
    left, right = _extent(text)
    lines = text.lines[:, left:right]
    rows = lines.sum(axis=1, dtype=np.int32) > text.letter / 2
    joined = closed(rows[:, None].astype(np.uint8), 0, round(text.letter / 5))[:, 0] > 0
    found = []
    for top, bottom in runs(joined):
        across = np.flatnonzero(lines[top:bottom].any(axis=0))
        if bottom - top > text.letter / 2:
            found.append(Band(top, bottom, left + int(across[0]), left + int(across[-1]) + 1, across.size))
    return found


def _extent(text: TextMask) -> tuple[int, int]:
    """From left to right where most text stands, without the dark edges of a scan."""
    often = text.lines.sum(axis=0, dtype=np.int32)
    used = closed((often > often.max() / 8)[None, :].astype(np.uint8), round(EDGE_GAP * text.letter), 0)[0] > 0
    return max(runs(used), key=lambda run: int(often[run[0] : run[1]].sum()))


def _alone(text: TextMask, bands: Sequence[Band], may_be: Callable[[TextMask, Band, Sequence[Band]], bool]) -> int:
    """How many of the first bands are a header; of a page that is turned over, a footer."""
    for number in range(min(MARGIN_LINES, len(bands) - 1), 0, -1):
        lines, body = bands[:number], bands[number:]
        are_lines = all(band.bottom - band.top <= LINE_HEIGHT * text.letter for band in lines)
        if are_lines and all(may_be(text, line, body) for line in lines) and _stands_off(text, lines[-1], body):
            return number
    return 0


def _may_be_header(text: TextMask, line: Band, body: Sequence[Band]) -> bool:
    """Not so a line without gaps that begins where the text does: a paragraph may end there."""
    row = np.asarray(text.lines[line.top : line.bottom, line.left : line.right].any(axis=0))
    has_gap = not closed(row[None, :].astype(np.uint8), round(NUMBER_GAP * text.letter), 0).all()
    return has_gap or abs(line.left - body[0].left) > text.letter / 2


def _may_be_footer(_text: TextMask, line: Band, body: Sequence[Band]) -> bool:
    return line.covered <= FOOTER_WIDTH * max(band.covered for band in body)


def _stands_off(text: TextMask, line: Band, body: Sequence[Band]) -> bool:
    gap, place = body[0].top - line.bottom, line.bottom / text.area.height
    usual = text.pitch - USUAL_LINE * text.letter
    if place <= EDGE_ZONE and gap >= FAR_GAP * text.letter:
        return True
    if line.covered <= NUMBER_WIDTH * text.letter and line.left - body[0].left > NUMBER_WIDTH * text.letter:
        return place <= NUMBER_ZONE and gap >= usual / 2 and _runs_on(text, body)
    return place <= MARGIN_ZONE and gap >= usual + MARGIN_GAP * text.pitch and _runs_on(text, body)


def _runs_on(text: TextMask, bands: Sequence[Band]) -> bool:
    """Whether text runs on evenly from the first band, for some lines."""
    last = bands[0].bottom
    for band in bands[1:]:
        if band.top - last > text.pitch:
            break
        last = band.bottom
    return last - bands[0].top >= (BODY_LINES - 0.5) * text.pitch


def _parts(text: TextMask, band: Band, kind: SectionKind) -> list[tuple[SectionKind, Area]]:
    """The line of a band; with what looks like a page number, at one of its ends, by itself."""
    edge = round(text.letter)
    row = np.asarray(text.lines[band.top : band.bottom].any(axis=0))
    row[: band.left], row[band.right :] = False, False
    pieces = runs(closed(row[None, :].astype(np.uint8), round(NUMBER_GAP * text.letter), 0)[0] > 0)
    narrow = [piece[1] - piece[0] <= NUMBER_WIDTH * text.letter for piece in pieces]
    first, last = int(narrow[0]), len(pieces) - int(len(pieces) > 1 and narrow[-1])
    groups = [(pieces[:first], True), (pieces[first:last], False), (pieces[last:], True)]
    top, bottom = max(0, band.top - edge // 2), min(text.area.bottom, band.bottom + edge // 2)
    return [
        (
            "page-number" if is_number else kind,
            Area(max(0, group[0][0] - edge), top, min(text.area.right, group[-1][1] + edge), bottom),
        )
        for group, is_number in groups
        if group
    ]
