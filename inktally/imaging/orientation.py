"""Which side of a page is up, told by cheap measures where they suffice, else by a small network on some lines."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import distribution
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inktally.imaging.glyphs import Glyphs, Grey
from inktally.imaging.lines import Level, level, lines

FEWEST = 30  # letters; a page with fewer stays as it is
STAYS, TURNS = 0.15, 0.3  # difference of the logarithms of sharpness from which the network need not be asked
DOUBT = 0.1  # the same, by which another side must be better for a page to be turned
MOST_LINES = 24
SHORTEST_LINE = 4  # letters
CROP_HEIGHT, CROP_WIDTH = 48, 192  # pixels; what the network takes
MODEL = "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx"  # lines upright or upside down


class Orientation(NamedTuple):
    """The quarters by which a page must be turned anticlockwise, how its lines lie then, and how sure that is.

    `certainty` is 0 where nothing could be told, and 1 at the most.
    """

    quarters: int
    level: Level
    certainty: float


def orientation(page: Grey, glyphs: Glyphs) -> Orientation:
    """Letters stand on their lines: their feet fall into rows, sharper than their sides and than their heads."""
    if len(glyphs) < FEWEST:
        return Orientation(0, Level(), 0.0)
    levels = [level(glyphs.turned(quarters)) for quarters in range(4)]
    if not any(one.believed for one in levels):
        return Orientation(0, levels[0], 0.0)
    sharpness = [float(np.log(one.sharpness)) for one in levels]
    sideways = max(sharpness[1], sharpness[3]) > max(sharpness[0], sharpness[2]) + DOUBT
    up, down = (1, 3) if sideways else (0, 2)
    score = sharpness[up] - sharpness[down]
    if not (score > STAYS or score < -TURNS):
        score += _vote(page, glyphs, up, levels[up].degrees)
    quarters = up if score >= -DOUBT else down
    return Orientation(quarters, levels[quarters], min(1.0, abs(score)))


def _vote(page: Grey, glyphs: Glyphs, quarters: int, degrees: float) -> float:
    """What the network says of the lines of the page turned so: 1 all upright, -1 all upside down, 0 no lines."""
    turned = np.ascontiguousarray(np.rot90(page, quarters))
    crops = _crops(turned, glyphs.turned(quarters), degrees)
    if not crops:
        return 0.0
    upside_down, overturned = (_upside_down(which) for which in (crops, [np.rot90(crop, 2) for crop in crops]))
    return float(np.mean(np.rint(overturned)) - np.mean(np.rint(upside_down)))


def _crops(page: Grey, glyphs: Glyphs, degrees: float) -> list[Grey]:
    """The middles of the longest lines, about four times as long as high."""
    longest = sorted(lines(glyphs.levelled(degrees)), key=len, reverse=True)[:MOST_LINES]
    found = []
    for line in longest:
        boxes = glyphs.boxes[line]
        centre = boxes[:, 0] + boxes[:, 2] / 2
        reach = np.median(boxes[:, 3]) * 0.9 * CROP_WIDTH / CROP_HEIGHT
        boxes = boxes[np.abs(centre - (centre.min() + centre.max()) / 2) < reach]
        if len(boxes) < SHORTEST_LINE:
            continue
        left, top = np.maximum(boxes[:, :2].min(axis=0).astype(int) - 3, 0)
        right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0).astype(int) + 3
        found.append(page[top:bottom, left:right])
    return found


def _upside_down(crops: Sequence[Grey]) -> NDArray[np.float32]:
    """The probability for each crop that it stands upside down."""
    batch = np.zeros((len(crops), 3, CROP_HEIGHT, CROP_WIDTH), dtype=np.float32)
    for crop, place in zip(crops, batch, strict=True):
        width = min(CROP_WIDTH, max(1, round(CROP_HEIGHT * crop.shape[1] / crop.shape[0])))
        place[:, :, :width] = cv2.resize(crop, (width, CROP_HEIGHT), interpolation=cv2.INTER_AREA) / 127.5 - 1
    network = classifier()
    return np.asarray(network.run(None, {network.get_inputs()[0].name: batch})[0][:, 1])


@lru_cache(maxsize=1)
def classifier() -> Any:
    """The classifier of text lines that comes with RapidOCR, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a process with threads cannot be forked
    model = distribution("rapidocr").locate_file(MODEL)  # without the time that importing the package takes
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
