"""The two networks of the rapidocr package, loaded once a process, and what their answers mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLANK = 0  # what the recogniser says where there is no character
SURE_OF_SPACE = 0.2  # the recogniser swallows spaces; this probability of one between two characters makes one


@dataclass(frozen=True)
class Character:
    """One character of a line, how sure it is (0 to 1), and where its middle stands (0 to 1 of the line's width)."""

    text: str
    confidence: float
    place: float


def confidence(characters: Sequence[Character]) -> float:
    """On average; 0 where there are none."""
    return float(np.mean([character.confidence for character in characters])) if characters else 0.0


class Decoder:
    """Takes the place of rapidocr's own decoder, which keeps neither the places of characters nor doubtful spaces."""

    def __init__(self, characters: Sequence[str]) -> None:
        self._characters = characters
        self._space = characters.index(" ")

    def __call__(
        self,
        predictions: NDArray[np.float32],
        _return_word_box: bool,
        *,
        wh_ratio_list: Sequence[float],
        max_wh_ratio: float,
    ) -> tuple[list[tuple[str, float]], list[list[Character]]]:
        """`predictions` are (lines, steps, characters); beyond the steps that a line's ratio gives it, it is padded."""
        lines = [
            self._line(steps, len(steps) * ratio / max_wh_ratio)
            for steps, ratio in zip(predictions, wh_ratio_list, strict=True)
        ]
        return [("".join(character.text for character in line), 1.0) for line in lines], lines

    def _line(self, steps: NDArray[np.float32], filled: float) -> list[Character]:
        best = steps.argmax(axis=1)
        starts = np.flatnonzero((best != BLANK) & (best != np.concatenate([[BLANK], best[:-1]])))
        line: list[Character] = []
        for before, step in pairwise([None, *starts]):
            assert step is not None
            if before is not None and self._space not in (best[before], best[step]):
                space = steps[before : step + 1, self._space].max()
                if space > SURE_OF_SPACE:
                    line.append(Character(" ", float(space), (before + step + 1) / 2 / filled))
            sure = float(steps[step, best[step]])
            line.append(Character(self._characters[best[step]], sure, (step + 0.5) / filled))
        return line


@lru_cache
def networks() -> tuple[Any, Any]:
    """Detector and recogniser of rapidocr; half a second, once."""
    from rapidocr import RapidOCR

    class Networks(RapidOCR):
        def __init__(self) -> None:
            super().__init__(
                params={
                    "Global.log_level": "error",
                    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                    "EngineConfig.onnxruntime.inter_op_num_threads": 1,  # a process with threads cannot be forked
                    "Det.limit_side_len": 32,  # pages come scaled
                    "Rec.rec_batch_num": 1,  # more lines at once take longer, padded to the longest, and more memory
                }
            )
            self.detector: Any = self._load_det_model()  # type: ignore[no-untyped-call]
            self.recogniser: Any = self._load_rec_model()  # type: ignore[no-untyped-call]

    loaded = Networks()
    loaded.recogniser.postprocess_op = Decoder(loaded.recogniser.postprocess_op.character)
    return loaded.detector, loaded.recogniser


def detect(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The lines of a colour picture: (n, 4, 2), their corners clockwise from the top left, in its pixels."""
    detector, _ = networks()
    found = detector(picture).boxes
    return np.zeros((0, 4, 2), np.float32) if found is None else np.asarray(found, np.float32).reshape(-1, 4, 2)


def recognise(lines: Sequence[NDArray[np.uint8]]) -> list[list[Character]]:
    """The characters on pictures of single lines, in colour."""
    from rapidocr.ch_ppocr_rec import TextRecInput

    _, recogniser = networks()
    return list(recogniser(TextRecInput(img=list(lines), return_word_box=True)).word_results) if lines else []
