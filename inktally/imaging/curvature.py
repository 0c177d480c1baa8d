"""Pages that bend towards their spine, or were photographed aslant: how far their lines stray from level ones."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Glyphs
from inktally.imaging.lines import Line, level, lines
from inktally.imaging.mapping import Bend

ACROSS, DOWN = 4, 3  # degrees of the polynomial in x and in y
LINE_LETTERS = 8
FEWEST_LINES = 4
ROUNDS = 8  # of reweighting, so that what hangs below a line does not pull it down
TOLERANCE = 0.12  # letter sizes; a foot that is farther off its line than this counts less
STIFFNESS = 1e-3
GRID = 33  # nodes on a side

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curvature:
    """A smooth field of how far lines stray downwards: a polynomial without its constant term in x.

    `strength` is the root mean square over the letters, `fit` the median distance of their feet from the lines that
    are told, both in letter sizes. `gain` is by which factor the feet stand in sharper lines without it. Beyond the
    letters the field goes on as it is at their edge.
    """

    coefficients: Floats
    left: float
    top: float
    right: float
    bottom: float
    strength: float = 0.0
    fit: float = 0.0
    gain: float = 1.0

    def at(self, x: Floats, y: Floats) -> Floats:
        return _terms(*self.normal(x, y)) @ self.coefficients

    def normal(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """From -1 to 1 over the letters."""
        across = np.clip((x - self.left) / max(self.right - self.left, 1), 0, 1)
        down = np.clip((y - self.top) / max(self.bottom - self.top, 1), 0, 1)
        return 2 * across - 1, 2 * down - 1

    def bend(self, width: int, height: int) -> Bend:
        """Rows of a straight page of that size, moved to where they are on the bent one."""
        x, straight = (axis.ravel() for axis in np.meshgrid(np.linspace(0, width, GRID), np.linspace(0, height, GRID)))
        bent = straight
        for _ in range(10):
            bent = straight + self.at(x, bent)
        shifts = np.round(bent - straight, 2).reshape(GRID, GRID)
        return Bend(width=width, height=height, shifts=tuple(tuple(row) for row in shifts.tolist()))


def curvature(glyphs: Glyphs) -> Curvature | None:
    """What all lines of a page have in common in their courses; None where there are too few lines."""
    first = _fitted(glyphs, lines(glyphs))
    if first is None:
        return None
    second = _fitted(glyphs, lines(_without(glyphs, first))) or first
    gain = level(_without(glyphs, second)).sharpness / level(glyphs).sharpness
    return replace(second, gain=gain)


def _without(glyphs: Glyphs, curve: Curvature) -> Glyphs:
    """The letters as they would stand on the straightened page."""
    boxes = glyphs.boxes.copy()
    left, top, wide, high = glyphs.boxes.astype(np.float64).T
    boxes[:, 1] -= curve.at(left + wide / 2, top + high)
    return glyphs.at(boxes)


def _fitted(glyphs: Glyphs, found: list[Line]) -> Curvature | None:
    """Least squares over the feet of all letters in lines, each line at a height of its own."""
    found = [line for line in found if len(line) >= LINE_LETTERS]
    if len(found) < FEWEST_LINES:
        return None
    letters = np.concatenate(found)
    line = np.repeat(np.arange(len(found)), [len(one) for one in found])
    boxes = glyphs.boxes[letters].astype(np.float64)
    x, y = boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3]
    start = Curvature(np.zeros(ACROSS * (DOWN + 1)), x.min(), y.min(), x.max(), y.max())
    terms = _terms(*start.normal(x, y))
    coefficients, distance = _reweighted(terms, y, line, glyphs.size)
    strength = float(np.sqrt(np.mean((terms @ coefficients) ** 2))) / glyphs.size
    fit = float(np.median(np.abs(distance))) / glyphs.size
    return Curvature(coefficients, start.left, start.top, start.right, start.bottom, strength, fit)


def _reweighted(terms: Floats, y: Floats, line: NDArray[np.intp], size: float) -> tuple[Floats, Floats]:
    """Coefficients of the terms, and what remains of each y once they and its line's own height are taken off."""
    weight = np.ones_like(y)
    for _ in range(ROUNDS):
        share = weight / np.bincount(line, weight)[line]
        centred, height = terms - _sums(share[:, None] * terms, line)[line], y - np.bincount(line, share * y)[line]
        normal = np.einsum("np,n,nq->pq", centred, weight, centred) + STIFFNESS * np.eye(terms.shape[1])
        coefficients = np.linalg.solve(normal, np.einsum("np,n,n->p", centred, weight, height)).astype(np.float64)
        distance = height - centred @ coefficients
        weight = 1 / (1 + (distance / (TOLERANCE * size)) ** 2)
    return coefficients, distance


def _sums(values: Floats, line: NDArray[np.intp]) -> Floats:
    return np.stack([np.bincount(line, column) for column in values.T], axis=1)


def _terms(x: Floats, y: Floats) -> Floats:
    """(n, ACROSS * (DOWN + 1)): x**p * y**q with p from 1, so that the middle of each line stays where it is."""
    return np.stack([x**p * y**q for p in range(1, ACROSS + 1) for q in range(DOWN + 1)], axis=1)
