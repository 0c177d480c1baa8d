"""What passes between decoding, preparation and engines, inside the process that reads a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PageImage:
    """The pixels of one upright page: `uint8`, (height, width) grey or (height, width, 3) RGB; black ink on white.

    `dpi` is what the file states; 0: nothing, or nothing that can be believed.
    """

    pixels: NDArray[np.uint8]
    dpi: int = 0

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])
