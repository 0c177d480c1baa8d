"""The curve of the vocabulary's growth as a picture. No word stands in it."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inktally.corpus.figures import Growth

WIDTH, HEIGHT = 714, 403
LEFT, TOP, RIGHT, BOTTOM = 98, 28, 698, 354  # of the axes, in the picture
MARGIN = 1.04  # the axes go on a little beyond the curve
MOST_TICKS = 8
CURVE = 'stroke="#1f5f8b" stroke-width="2.6"'
LAW = 'stroke="#c8553d" stroke-width="1.6" stroke-dasharray="6 3"'
GRID, AXIS = 'stroke="#666666" stroke-opacity="0.2"', 'stroke="#000000"'

Point = tuple[float, float]
"""Tokens and distinct words."""


class Scale(NamedTuple):
    """The largest numbers on the axes."""

    tokens: float
    distinct: float

    def place(self, point: Point) -> Point:
        """Where a point lies in the picture, from its upper left corner."""
        tokens, distinct = point
        return LEFT + (RIGHT - LEFT) * tokens / self.tokens, BOTTOM - (BOTTOM - TOP) * distinct / self.distinct


def growth_svg(growth: Growth) -> bytes:
    """Distinct words over tokens, and Heaps' law beside; the same growth gives the same bytes."""
    curve: list[Point] = [(0, 0), *zip(growth.tokens, growth.distinct, strict=True)]
    law = list(_law(growth))
    top = [max(numbers) for numbers in zip(*curve, *law, strict=True)]
    scale = Scale(*(MARGIN * max(number, 1) for number in top))
    lines = [(curve, CURVE), (law, LAW)]
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<g font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="none">',
        *_axes(scale),
        *(_line(map(scale.place, points), pen) for points, pen in lines if points),
        *_legend(growth),
        "</g>",
        "</svg>\n",
    ]
    return "\n".join(drawn).encode()


def _law(growth: Growth) -> Iterator[Point]:
    if growth.factor:
        last = max(growth.tokens)
        for tokens in (1 + (last - 1) * step / 200 for step in range(201)):
            yield tokens, growth.factor * tokens**growth.exponent


def _axes(scale: Scale) -> Iterator[str]:
    for tokens in _ticks(scale.tokens):
        x, _ = scale.place((tokens, 0))
        yield _line([(x, TOP), (x, BOTTOM)], GRID)
        yield _line([(x, BOTTOM), (x, BOTTOM + 5)], AXIS)
        yield _text(x, BOTTOM + 19, f"{tokens:,}")
    for distinct in _ticks(scale.distinct):
        _, y = scale.place((0, distinct))
        yield _line([(LEFT, y), (RIGHT, y)], GRID)
        yield _line([(LEFT - 5, y), (LEFT, y)], AXIS)
        yield _text(LEFT - 9, y + 5, f"{distinct:,}", 'text-anchor="end"')
    yield _line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], AXIS)
    yield _text((LEFT + RIGHT) / 2, 16, "Growth of the vocabulary", 'text-anchor="middle" font-size="15.5"')
    yield _text((LEFT + RIGHT) / 2, HEIGHT - 8, "words counted, documents by day, then by name")
    middle = (TOP + BOTTOM) / 2
    yield _text(14, middle, "distinct words", f'text-anchor="middle" transform="rotate(-90 14 {middle})"')


def _ticks(top: float) -> range:
    """Round numbers from 0 to the end of an axis."""
    least = top / MOST_TICKS
    power = 10 ** math.floor(math.log10(least))
    step = next(round(times * power) for times in (1, 2, 2.5, 5, 10) if times * power >= max(least, 1))
    return range(0, int(top) + 1, step)


def _legend(growth: Growth) -> Iterator[str]:
    lines = [("distinct words", CURVE)]
    if growth.factor:
        lines.append((f"Heaps: {growth.factor:.3g} · tokens^{growth.exponent:.3f}", LAW))
    for number, (name, pen) in enumerate(reversed(lines)):
        y = BOTTOM - 20 - 20 * number
        yield _line([(RIGHT - 238, y), (RIGHT - 208, y)], pen)
        yield _text(RIGHT - 200, y + 5, name, 'text-anchor="start"')


def _line(points: Iterable[Point], pen: str) -> str:
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" {pen}/>'


def _text(x: float, y: float, text: str, how: str = 'text-anchor="middle"') -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#000000" {how}>{text}</text>'
