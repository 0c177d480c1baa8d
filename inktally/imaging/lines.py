"""Lines of text among the letters of a page: how level they are, and which letters make one."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Glyphs

WIDEST = 20.0  # degrees either way; beyond, a page is taken for one that stands on another side
COARSE, FINER, FINEST = 0.5, 0.1, 0.02  # degrees
BLUR = {COARSE: 0.35, FINER: 0.2, FINEST: 0.12}  # of a letter's size: how finely the feet of letters are sorted
MOST_LETTERS = 6000  # by which an angle is told; of more every second or third is taken
CHANCE, MORE_BY_CHANCE = 1.2, 4.0  # sharpness of letters strewn about, and how fast it falls with their number
NEIGHBOURS = 8
LONGEST_GAP = 2.5  # letter sizes between two letters of a line
EXACT_TREE = 4  # FLANN's KDTREE_SINGLE: exact, and the same each time

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
