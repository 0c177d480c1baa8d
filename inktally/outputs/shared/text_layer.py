"""The words of a page as text that is found, marked and copied, but not seen: a form of its own for each page.

Everything is laid out in pixels of the picture; whoever puts the form onto a page scales it.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise
from math import inf
from statistics import median

import numpy as np
from pikepdf import Array, Dictionary, Name, Pdf, Stream

from inktally.document import Box, Page
from inktally.outputs.shared.inkless_font import InklessFont
from inktally.outputs.shared.layout import Line, PageLayout

SPACE = " "
GAP = 0.25  # of the size of letters
NARROWEST = 0.25  # of its size a letter is wide at least; readers take narrower doublets for one letter in bold
GLYPH_WIDTH = 0.5  # of the font's size


class Direction(Enum):
    """Where the lines of a page run to, by how its text is turned clockwise."""

    RIGHT = 0
    DOWN = 90
    LEFT = 180
    UP = 270


def text_layer(pdf: Pdf, layout: PageLayout, font: InklessFont) -> Stream:
    """A form XObject of the page's size with all its words; its unit is a pixel."""
    page, direction = layout.page, running(layout)
    lines = [line for block in layout.blocks for paragraph in block.paragraphs for line in paragraph.lines]
    height = page.height if direction in {Direction.RIGHT, Direction.LEFT} else page.width
    shown = "\n".join(text for line in lines for text in _shown(line, page, direction, height, font))
    content = f"q {_matrix(page, direction)} cm BT 3 Tr\n{shown}\nET Q"  # 3: neither filled nor stroked
    form = Stream(pdf, content.encode("ascii"))
    form.Type, form.Subtype = Name.XObject, Name.Form
    form.BBox = Array([0, 0, page.width, page.height])
    form.Resources = Dictionary(Font=Dictionary(F=font.resource))
    return form


def running(layout: PageLayout) -> Direction:
    """Where the lines run to, seen from how their words follow each other, whatever engine turned the page how.

    Lines that run to the left are upside down only if they also follow each other upwards: some scripts do run so.
    """
    lines = [line for block in layout.blocks for paragraph in block.paragraphs for line in paragraph.lines]
    ways = [_way(line.words[0].box, line.words[-1].box) for line in lines]
    across, down = sum(way[0] for way in ways), sum(way[1] for way in ways)
    if abs(down) > abs(across):
        return Direction.DOWN if down > 0 else Direction.UP
    upwards = sum(_way(line.box, following.box)[1] for line, following in pairwise(lines)) < 0
    return Direction.LEFT if across < 0 and upwards else Direction.RIGHT


def _way(start: Box, end: Box) -> tuple[float, float]:
    return (
        end.left + end.width / 2 - start.left - start.width / 2,
        end.top + end.height / 2 - start.top - start.height / 2,
    )


def _matrix(page: Page, direction: Direction) -> str:
    """From the page turned so that its lines run to the right, to the page as it is; both have their origin below."""
    width, height = page.width, page.height
    return {
        Direction.RIGHT: "1 0 0 1 0 0",
        Direction.DOWN: f"0 -1 1 0 0 {height}",
        Direction.LEFT: f"-1 0 0 -1 {width} {height}",
        Direction.UP: f"0 1 -1 0 {width} 0",
    }[direction]


def _turned(box: Box, page: Page, direction: Direction) -> Box:
    """The box on the page turned so that its lines run to the right."""
    right, bottom = page.width - box.left - box.width, page.height - box.top - box.height
    if direction is Direction.DOWN:
        return Box(left=box.top, top=right, width=box.height, height=box.width)
    if direction is Direction.LEFT:
        return Box(left=right, top=bottom, width=box.width, height=box.height)
    if direction is Direction.UP:
        return Box(left=bottom, top=box.left, width=box.height, height=box.width)
    return box


def _shown(line: Line, page: Page, direction: Direction, height: int, font: InklessFont) -> Iterator[str]:
    """The operators that show each word in its place. A blank follows it, so that readers never join two words."""
    boxes = [_turned(word.box, page, direction) for word in line.words]
    size = max(1.0, median(box.height for box in boxes))
    widths = _widths(boxes, size)
    for word, box, width, baseline in zip(line.words, boxes, widths, _baselines(boxes), strict=True):
        code, glyphs = font.encode(" ".join(word.text.split()) + SPACE)
        advance = width / (glyphs - 1)
        own_size = min(size, advance / NARROWEST)
        stretch = 100 * advance / (GLYPH_WIDTH * own_size)
        yield f"/F {own_size:.2f} Tf {stretch:.2f} Tz 1 0 0 1 {box.left} {height - baseline:.2f} Tm {code} Tj"


def _widths(boxes: Sequence[Box], size: float) -> list[float]:
    """How wide each word is shown: as its box, but for a gap to the next, by which readers tell words apart."""
    starts = [after.left - box.left for box, after in pairwise(boxes)]
    room = [start - GAP * size if start > 0 else inf for start in starts]
    return [max(1.0, box.width / 2, min(box.width, wide)) for box, wide in zip(boxes, [*room, inf], strict=True)]


def _baselines(boxes: Sequence[Box]) -> list[float]:
    """Where each word of a line stands: on a straight line through their lower edges, long words weighing more."""
    bottoms = [float(box.top + box.height) for box in boxes]
    middles = [box.left + box.width / 2 for box in boxes]
    if len(set(middles)) < 2:  # noqa: PLR2004 - no line goes through one point alone
        return bottoms
    slope, offset = np.polyfit(middles, bottoms, 1, w=[max(1, box.width) for box in boxes])
    return [float(slope * middle + offset) for middle in middles]
