"""Draws docs/architecture.svg from docs/architecture.txt, which says what its lines mean: `python docs/diagram.py`.

The same source gives the same bytes, and a unit test compares them with the committed file. What would overlap, or
would not fit, is an error.
"""  # noqa: INP001 - a script, which nobody imports

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path

WIDTH, MARGIN, GUTTER, ROW_GAP, LINE = 900, 26, 26, 50, 17  # pixels
COLUMN = (WIDTH - 2 * MARGIN + GUTTER) / 12
TITLE_LETTER, LETTER, LABEL_LETTER = 8.2, 6.7, 6.2  # pixels that a letter takes at most, on average
BOX = re.compile(r"box (\w+) (\d+)-(\d+) (\w+) (.+)")
ARROW = re.compile(r"arrow (\w+) -> (\w+)(?: at ([\d.]+))?: (.+)")
STYLE = """
svg { --ground: #fff; --text: #1c2430; --faint: #566072; --line: #6b7686; --code: #e8f0fb; --code-line: #4a79b8;
      --store: #fdf1d8; --store-line: #b98a24; --out: #eef0f2; --out-line: #8a93a0; }
@media (prefers-color-scheme: dark) { svg {
      --ground: #10151c; --text: #e8ecf2; --faint: #a9b4c3; --line: #8c98a8; --code: #1b2c44; --code-line: #5f93d6;
      --store: #3b2f14; --store-line: #c99b3a; --out: #232a33; --out-line: #768293; } }
text { font: 12px "DejaVu Sans", Verdana, sans-serif; fill: var(--text); text-anchor: middle; }
.title { font-weight: bold; }
.path { font: 11px "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--faint); }
.label { font-size: 11px; fill: var(--faint); }
.beside { text-anchor: start; }
.ground { fill: var(--ground); }
.code { fill: var(--code); stroke: var(--code-line); }
.store { fill: var(--store); stroke: var(--store-line); }
.out { fill: var(--out); stroke: var(--out-line); }
.arrow { stroke: var(--line); stroke-width: 1.5; marker-end: url(#head); }
#head path { fill: var(--line); }
"""
HEAD = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'


@dataclass
class Box:
    """A box over some columns of a row; `top` and `height` are set when its row is."""

    columns: tuple[int, int]
    kind: str
    lines: list[str]
    row: int
    top: int = 0
    height: int = 0
    left: float = field(init=False)
    right: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = MARGIN + (self.columns[0] - 1) * COLUMN
        self.right = MARGIN + self.columns[1] * COLUMN - GUTTER


@dataclass(frozen=True)
class Arrow:
    start: Box
    end: Box
    column: str | None
    label: str

    @property
    def x(self) -> float:
        """Where an upright one stands: where it says, else in the middle of what its boxes share."""
        shared = max(self.start.left, self.end.left) + min(self.start.right, self.end.right)
        return MARGIN + (float(self.column) - 1) * COLUMN if self.column else shared / 2


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"The diagram cannot be drawn: {otherwise}.")


def parsed(source: str) -> tuple[list[list[Box]], list[Arrow]]:
    """The rows of boxes, and the arrows between them."""
    boxes: dict[str, Box] = {}
    rows: list[list[Box]] = []
    arrows = []
    for line in source.splitlines():
        if line.startswith("    "):
            rows[-1][-1].lines.append(line.strip())
        elif line == "row":
            rows.append([])
        elif box := BOX.fullmatch(line):
            boxes[box[1]] = Box((int(box[2]), int(box[3])), box[4], [box[5]], len(rows))
            rows[-1].append(boxes[box[1]])
        elif arrow := ARROW.fullmatch(line):
            arrows.append(Arrow(boxes[arrow[1]], boxes[arrow[2]], arrow[3], arrow[4]))
        else:
            require(not line or line.startswith("#"), f"{line!r} is neither row, box nor arrow")
    return rows, arrows


def place(rows: list[list[Box]]) -> int:
    """Set the rows below each other; the height of all."""
    top = MARGIN
    for row in rows:
        for before, after in pairwise(row):
            require(before.columns[1] < after.columns[0], f"{before.lines[0]!r} and {after.lines[0]!r} overlap")
        height = 22 + LINE * max(len(box.lines) for box in row)
        for box in row:
            box.top, box.height = top, height
        top += height + ROW_GAP
    return top - ROW_GAP + MARGIN


def drawn_box(box: Box) -> Iterator[str]:
    width, centre = box.right - box.left, (box.left + box.right) / 2
    size = f'width="{width:.1f}" height="{box.height}"'
    yield f'<rect class="{box.kind}" x="{box.left:.1f}" y="{box.top}" {size} rx="6"/>'
    first = box.top + (box.height - LINE * (len(box.lines) - 1)) / 2 + 4
    for number, line in enumerate(box.lines):
        is_path = all("/" in word or word.endswith(".yaml") for word in line.split())
        kind = "title" if number == 0 else "path" if is_path else "text"
        require(len(line) * (LETTER if number else TITLE_LETTER) < width - 8, f"{line!r} does not fit its box")
        yield f'<text class="{kind}" x="{centre:.1f}" y="{first + LINE * number:.1f}">{escape(line)}</text>'


def drawn_level(arrow: Arrow) -> Iterator[str]:
    start, end, y = arrow.start, arrow.end, arrow.start.top + arrow.start.height / 2
    x, to = (start.right, end.left - 2) if start.left < end.left else (start.left, end.right + 2)
    require(len(arrow.label) * LABEL_LETTER < abs(to - x), f"{arrow.label!r} is longer than its arrow")
    yield f'<path class="arrow" d="M {x:.1f} {y} H {to:.1f}"/>'
    yield f'<text class="label" x="{(x + to) / 2:.1f}" y="{y - 7}">{escape(arrow.label)}</text>'


def drawn_upright(arrow: Arrow, beside: list[float]) -> Iterator[str]:
    """`beside` is where the arrows between the same rows stand."""
    x, y, to = arrow.x, arrow.start.top + arrow.start.height, arrow.end.top - 2
    room = min([*(other for other in beside if other > x), WIDTH])
    require(arrow.end.row == arrow.start.row + 1, f"the arrow {arrow.label!r} does not lead to the next row")
    require(x + 7 + len(arrow.label) * LABEL_LETTER < room, f"{arrow.label!r} has no room beside its arrow")
    yield f'<path class="arrow" d="M {x:.1f} {y} V {to}"/>'
    yield f'<text class="label beside" x="{x + 7:.1f}" y="{(y + to) / 2 + 3}">{escape(arrow.label)}</text>'


def drawn(source: str) -> str:
    """The SVG."""
    rows, arrows = parsed(source)
    height = place(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f'<style>{STYLE}</style><defs>{HEAD}<path d="M 0 0 L 8 4 L 0 8 z"/></marker></defs>',
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
    ]
    for arrow in arrows:
        beside = [other.x for other in arrows if other.start.row == arrow.start.row != other.end.row]
        parts += drawn_level(arrow) if arrow.start.row == arrow.end.row else drawn_upright(arrow, beside)
    parts += [line for row in rows for box in row for line in drawn_box(box)]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "architecture.svg").write_text(drawn((folder / "architecture.txt").read_text()))
