"""Where a point of the prepared page lies on the page that came in."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from inktally.document import Box, Value

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
