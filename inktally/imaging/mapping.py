"""Where a point of the prepared page lies on the page that came in; its pixels are moved once, seen through that."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.document import Box, Value
from inktally.imaging.glyphs import Glyphs, shrunk

NODES = 65  # of the lattice over the page on which the mapping is worked out; between them it is interpolated
STRIP = 256  # rows rendered at a time: a map of where pixels come from is eight times as large as they are

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Points = NDArray[np.float64]
"""(n, 2): x and y in pixels; the centre of the top left pixel is at (0.5, 0.5)."""
Matrix = NDArray[np.float64]
"""(3, 3): a homography of points."""


def through(matrix: Matrix, points: Points) -> Points:
    """The points as the homography moves them."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])


class Bend(Value):
    """Rows moved up or down, by an amount that changes smoothly over the page.

    `shifts` is a coarse grid over a page of `width` by `height` pixels, first and last of its rows and columns on the
    page's edges: what to add to y to come from the straightened page to the bent one, in pixels.
    """

    width: int
    height: int
    shifts: tuple[tuple[float, ...], ...]

    def back(self, points: Points) -> Points:
        grid = np.asarray(self.shifts, dtype=np.float64)
        rows, columns = grid.shape
        x = np.clip(points[:, 0] / self.width, 0, 1) * (columns - 1)
        y = np.clip(points[:, 1] / self.height, 0, 1) * (rows - 1)
        left, top = np.minimum(x.astype(int), columns - 2), np.minimum(y.astype(int), rows - 2)
        right, down = x - left, y - top
        upper = grid[top, left] * (1 - right) + grid[top, left + 1] * right
        lower = grid[top + 1, left] * (1 - right) + grid[top + 1, left + 1] * right
        return np.asarray(points + np.stack([np.zeros_like(x), upper * (1 - down) + lower * down], axis=1))


class Plane(Value):
    """Turned, moved, scaled or seen from another side: a homography from the page after it to the page before it."""

    rows: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

    @classmethod
    def of(cls, matrix: Matrix) -> Plane:
        return cls.model_validate({"rows": [[float(value) for value in row] for row in matrix]})

    @property
    def matrix(self) -> Matrix:
        return np.asarray(self.rows, dtype=np.float64)

    def back(self, points: Points) -> Points:
        return through(self.matrix, points)


class Mapping(Value):
    """From the prepared page back to the page that came in, `width` by `height` pixels; the last stage goes first."""

    width: int
    height: int
    stages: tuple[Plane | Bend, ...] = ()

    def then(self, stage: Plane | Bend) -> Mapping:
        """The mapping of a page to which one more thing was done."""
        return self.model_copy(update={"stages": (*self.stages, stage)})

    def points(self, points: Points) -> Points:
        return reduce(lambda moved, stage: stage.back(moved), reversed(self.stages), points)

    def box(self, box: Box) -> Box:
        """The upright box, within the page that came in, around what `box` of the prepared page shows."""
        if not self.stages:
            return box
        x = np.linspace(box.left, box.left + box.width, 5)
        y = np.linspace(box.top, box.top + box.height, 3)
        outline = self.points(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        limits = np.array([self.width, self.height])
        low = np.clip(np.rint(outline.min(axis=0)), 0, limits - 1).astype(int)
        high = np.clip(np.rint(outline.max(axis=0)), low + 1, limits).astype(int)
        return Box(left=int(low[0]), top=int(low[1]), width=int(high[0] - low[0]), height=int(high[1] - low[1]))


def quarter_turn(width: int, height: int, quarters: int) -> Plane:
    """The way back from a page of that size turned by so many quarters (1 to 3), anticlockwise."""
    rows = {
        1: ((0, -1, width), (1, 0, 0), (0, 0, 1)),
        2: ((-1, 0, width), (0, -1, height), (0, 0, 1)),
        3: ((0, 1, 0), (-1, 0, height), (0, 0, 1)),
    }
    return Plane.model_validate({"rows": rows[quarters]})


def levelling(width: int, height: int, degrees: float, factor: float) -> tuple[Plane, int, int]:
    """The way back from the page levelled and scaled, and the latter's width and height, so that nothing is cut."""
    forward = np.eye(3)
    forward[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, factor)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
    moved = through(forward, corners)
    low, high = moved.min(axis=0), moved.max(axis=0)
    forward[:2, 2] -= low
    across, down = np.ceil(np.round(high - low, 6)).astype(int)
    return Plane.of(_inverse(forward)), int(across), int(down)


def moved(glyphs: Glyphs, back: Plane, scale: float, factor: float) -> Glyphs:
    """Letters of a page shrunk to `scale`, where they stand on the page that `back` leads from, and of which size."""
    forward = _inverse(back.matrix)
    centres = through(forward, glyphs.centres.astype(np.float64) / scale)
    sizes = glyphs.boxes[:, 2:] * (factor / scale)
    boxes = np.concatenate([centres - sizes / 2, sizes], axis=1).astype(np.float32)
    return Glyphs(boxes, glyphs.width, glyphs.height, glyphs.size * factor / scale)


def rendered(pixels: Pixels, stages: Sequence[Plane | Bend], width: int, height: int, factor: float) -> Pixels:
    """The page of that size that the stages lead back from; what lies beyond the edges has the colour of the paper."""
    shrink = min(1.0, factor)
    if shrink < 1:
        pixels = shrunk(pixels, shrink)
    lattice = np.stack(np.meshgrid(np.linspace(0, width, NODES), np.linspace(0, height, NODES)), axis=-1)
    mapping = Mapping(width=width, height=height, stages=tuple(stages))
    nodes = mapping.points(lattice.reshape(-1, 2)) * shrink - 0.5
    x, y = (_between(axis.reshape(NODES, NODES).T, np.arange(width), width).T for axis in nodes.T)
    paper = np.atleast_1d(np.median(pixels[::8, ::8].reshape(-1, *pixels.shape[2:]), axis=0)).tolist()
    strips = []
    for rows in np.array_split(np.arange(height), range(STRIP, height, STRIP)):
        across, down = (_between(axis, rows, height).astype(np.float32) for axis in (x, y))
        strips.append(
            cv2.remap(pixels, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=paper)
        )
    return np.concatenate(strips)


def _between(nodes: Floats, pixels: NDArray[np.intp], length: int) -> Floats:
    """(pixels, ...): the values at the centres of some of `length` pixels, between the nodes (NODES, ...)."""
    position = (pixels + 0.5) * ((NODES - 1) / length)
    below = np.minimum(position.astype(np.intp), NODES - 2)
    share = (position - below)[:, None]
    return np.asarray(nodes[below] * (1 - share) + nodes[below + 1] * share)


def _inverse(matrix: Matrix) -> Matrix:
    return np.linalg.inv(matrix).astype(np.float64)
