"""Lines of text among the letters of a page: how level they are, which letters make one, and how bent they are.

Pages bend towards their spine, or are photographed aslant: then lines stray from level ones.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Glyphs
from inktally.imaging.mapping import Bend

WIDEST = 20.0  # degrees either way; beyond, a page is taken for one that stands on another side
COARSE, FINER, FINEST = 0.5, 0.1, 0.02  # degrees
BLUR = {COARSE: 0.35, FINER: 0.2, FINEST: 0.12}  # of a letter's size: how finely the feet of letters are sorted
MOST_LETTERS = 6000  # by which an angle is told; of more every second or third is taken
CHANCE, MORE_BY_CHANCE = 1.2, 4.0  # sharpness of letters strewn about, and how fast it falls with their number
NEIGHBOURS = 8
LONGEST_GAP = 2.5  # letter sizes between two letters of a line
EXACT_TREE = 4  # FLANN's KDTREE_SINGLE: exact, and the same each time

ACROSS, DOWN = 4, 3  # degrees of the polynomial in x and in y
LINE_LETTERS = 8
FEWEST_LINES = 4
ROUNDS = 8  # of reweighting, so that what hangs below a line does not pull it down
TOLERANCE = 0.12  # letter sizes; a foot that is farther off its line than this counts less
STIFFNESS = 1e-3
GRID = 33  # nodes on a side

Floats = NDArray[np.float64]
Line = NDArray[np.intp]
"""The indices of the letters of a line, from left to right."""


class Level(NamedTuple):
    """By how many degrees the lines fall to the right, and how sharply the feet of the letters stand in lines then.

    `sharpness` is 1 where letters are strewn about, and 2 to 6 where they stand in lines; `believed` says whether it
    is more than so many letters would reach by chance.
    """

    degrees: float = 0.0
    sharpness: float = 1.0
    believed: bool = False


def level(glyphs: Glyphs) -> Level:
    """The angle at which the lower ends of the letters fall together into the fewest rows (W. Postl's measure)."""
    boxes = glyphs.boxes[:: 1 + len(glyphs) // MOST_LETTERS].astype(np.float64)
    x, y = boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3]
    angles = np.arange(-WIDEST, WIDEST + COARSE / 2, COARSE).tolist()
    crowding = [_crowding(x, y, angle, BLUR[COARSE] * glyphs.size) for angle in angles]
    best = angles[int(np.argmax(crowding))]
    sharpness = max(crowding) / float(np.median(crowding))
    for step in (FINER, FINEST):
        angles = (best + step * np.arange(-6, 7)).tolist()
        finer = [_crowding(x, y, angle, BLUR[step] * glyphs.size) for angle in angles]
        best = angles[int(np.argmax(finer))]
    return Level(best, sharpness, sharpness > CHANCE + MORE_BY_CHANCE / len(x) ** 0.5)


def _crowding(x: NDArray[np.float64], y: NDArray[np.float64], degrees: float, row: float) -> float:
    """The sum of squares of how many points lie in each row, rows of `row` pixels, tilted by `degrees`."""
    angle = np.deg2rad(degrees)
    position = (y * np.cos(angle) - x * np.sin(angle)) / row
    position -= position.min()
    below = position.astype(np.intp)
    share = position - below
    rows = int(below.max()) + 2
    counts = np.bincount(below, 1 - share, rows) + np.bincount(below + 1, share, rows)
    return float((counts * counts).sum())


def neighbours(points: NDArray[np.float32], number: int) -> NDArray[np.intp]:
    """(n, number): the indices of the nearest other points of each."""
    tree = cv2.flann_Index(points, {"algorithm": EXACT_TREE, "leaf_max_size": 16})  # type: ignore[attr-defined]
    found, _ = tree.knnSearch(points, number + 1, params={})
    return np.asarray(found[:, 1:], dtype=np.intp)


def lines(glyphs: Glyphs) -> list[Line]:
    """Letters linked to their neighbours on the right, as long as they stand side by side; pages should be level."""
    if len(glyphs) <= NEIGHBOURS:
        return []
    follows = _followers(glyphs)
    starts = set(range(len(glyphs))) - set(follows.values())
    return [_chain(start, follows) for start in sorted(starts)]


def _chain(start: int, follows: dict[int, int]) -> Line:
    chain = [start]
    while chain[-1] in follows:
        chain.append(follows[chain[-1]])
    return np.array(chain, dtype=np.intp)


def _followers(glyphs: Glyphs) -> dict[int, int]:
    """Letter -> the letter next to it on the right, where each is the other's nearest."""
    left, top, wide, high = glyphs.boxes.T
    x, y = glyphs.centres.T
    near = neighbours(np.stack([x, 2 * y], axis=1).astype(np.float32), NEIGHBOURS)
    gap = left[near] - (left + wide)[:, None]
    overlap = np.minimum((top + high)[near], (top + high)[:, None]) - np.maximum(top[near], top[:, None])
    beside = overlap > 0.5 * np.minimum(high[near], high[:, None])
    ahead = (x[near] > x[:, None]) & (gap < LONGEST_GAP * glyphs.size)
    cost = np.where(beside & ahead, np.maximum(gap, 0), np.inf)
    best = cost.argmin(axis=1)
    rows = np.arange(len(glyphs))
    price, target = cost[rows, best], near[rows, best]
    nearest: dict[int, int] = {}
    for letter in np.argsort(-price, kind="stable"):  # the cheapest comes last and stays
        if np.isfinite(price[letter]):
            nearest[int(target[letter])] = int(letter)
    return {letter: following for following, letter in nearest.items()}


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
