"""What a PDF's page shows of the text that it holds, and what it shows beside that.

The page is drawn twice, small: as it is, and without its text. Where both differ, text was painted. A word whose
letters make no difference is white on white, covered, clipped away, outside the page, on a layer that is switched off,
or meant to be invisible. The last is how words are laid under a scan, which then has ink in their places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median_low
from typing import Literal

import cv2
import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from numpy.typing import NDArray

from inktally.imaging.decoding.pdf_layer import Edges, TextRun, shapes_of
from inktally.imaging.glyphs import WINDOW, Boxes, Grey, ink

Mask = NDArray[np.bool_]
Sight = Literal["painted", "beneath", "hidden", "repeated"]
"""What is seen of a word: its own paint; ink of a picture in its place; nothing; nothing but the same word."""

FAINTEST = 12  # grey levels between paint and what is below it that can be seen
CONTRAST = 12.0  # standard deviation of grey levels in the place of a word that a picture shows
MOST_DEPTH = 15  # of forms within forms
SMALLEST, FLATTEST = 5, 3.0  # pixels of a letter's longer side; its width over its height
GROUND_AREA = 0.3  # of what a ground of letters reaches over
LARGEST = 1 / 8  # of the page's shorter side
MANY = 800  # letters; a page with more beside its text surely shows more than that
FEWEST = 2  # letters side by side
TOUCHING = 0.2  # of a letter's height, between it and the next of its word
UNLIKE = 1.35  # times wider or narrower than it usually is, for its height, is another letter
RARELY = 0.2  # of a letter's occurrences
MOST_PAINTED = 0.5  # of a word's letters; with fewer it is not to be read
GROUND = 0.9  # of a word's place that has its own colour even without it
COVERED = 0.6  # of a word's box in which another word stands


@dataclass
class Shown:
    """A page drawn as it is and without its text, `scale` times as large as its picture; and what is seen of its words.

    `doubtful` are numbers of words that must be read to know what they say: their letters mean nothing, ink stands
    beside their letters, one of
    them has an `uneven` shape, or two words are `sharing` one place. `lost` are boxes of painted letters that have no
    characters, in pixels of the picture.
    """

    full: Grey
    bare: Grey
    scale: float
    runs: list[TextRun]
    sights: list[Sight] = field(default_factory=list)
    doubtful: set[int] = field(default_factory=set)
    sharing: set[int] = field(default_factory=set)
    uneven: set[int] = field(default_factory=set)
    lost: Boxes = field(default_factory=lambda: np.empty((0, 4), np.float32))

    def unread(self, believed: Iterable[int]) -> Boxes:
        """The boxes of all letters that no believed word accounts for, in pixels of the picture."""
        mask = _ink(self.bare)
        for number in believed:
            if self.sights[number] == "beneath":
                mask[_slices(self.runs[number].box, self.scale, 4.0, mask.shape)] = 0
        boxes, has_company = _letters(mask)
        return np.concatenate([boxes[has_company] / np.float32(self.scale), self.lost])

    def crop(self, box: Edges, margin: float = 0.0) -> Grey:
        """Of the page as it is; the box and the margin around it in pixels of the picture."""
        rows, columns = _slices(box, self.scale, margin, self.full.shape)
        return self.full[rows, columns]


def looked_at(page: pdfium.PdfPage, runs: Sequence[TextRun], scale: float, dpi: float) -> Shown:
    """The page drawn at `scale` times `dpi`, and its words held against it. The page is without text afterwards."""
    full = _drawn(page, scale * dpi)
    without_text(page)
    shown = Shown(full, _drawn(page, scale * dpi), scale, list(runs))
    changed = cv2.absdiff(shown.full, shown.bare) > FAINTEST
    shown.sights = _sights(runs, shown, changed)
    shown.sharing = _sharing(runs, shown)
    shown.uneven = _uneven(runs, shown)
    shown.doubtful = _broken(runs) | shown.sharing | shown.uneven
    shown.lost = _adopted(_lost(runs, shown, changed), shown)
    return shown


def without_text(page: pdfium.PdfPage) -> None:
    """Have the page drawn without its text, as long as it is open."""
    for text in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_TEXT], max_depth=MOST_DEPTH):
        pdfium_c.FPDFPageObj_SetIsActive(text, False)


def _drawn(page: pdfium.PdfPage, dpi: float) -> Grey:
    bitmap = page.render(scale=dpi / 72, grayscale=True, limit_image_cache=True)
    try:
        return np.array(bitmap.to_numpy().reshape(bitmap.height, bitmap.width), np.uint8)
    finally:
        bitmap.close()


def _sights(runs: Sequence[TextRun], shown: Shown, changed: Mask) -> list[Sight]:
    """A word is painted where half of its letters are, or more."""
    if not runs:
        return []
    lengths = [len(run.boxes) for run in runs]
    boxes = np.array([box for run in runs for box in run.boxes])
    sums = cv2.integral(changed.astype(np.uint8))
    has_paint = _within(np.asarray(sums, np.int32), boxes * shown.scale) > 0
    starts = np.cumsum([0, *lengths[:-1]])
    shares = np.add.reduceat(has_paint, starts) / lengths
    is_painted = [
        run.style.paint is not None and share >= MOST_PAINTED for run, share in zip(runs, shares, strict=True)
    ]
    return [
        "painted" if seen else "beneath" if _has_ink(shown, run.box) else "hidden"
        for run, seen in zip(runs, is_painted, strict=True)
    ]


def _within(sums: NDArray[np.int32], boxes: NDArray[np.float64]) -> NDArray[np.int32]:
    """The sum within each box, of a table of sums over an image."""
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    left, top = np.clip(np.floor(boxes[:, 0]), 0, width), np.clip(np.floor(boxes[:, 1]), 0, height)
    right, bottom = np.clip(np.ceil(boxes[:, 2]), 0, width), np.clip(np.ceil(boxes[:, 3]), 0, height)
    x0, y0, x1, y1 = (edge.astype(int) for edge in (left, top, right, bottom))
    return np.asarray(sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0], np.int32)


def _has_ink(shown: Shown, box: Edges) -> bool:
    rows, columns = _slices(box, shown.scale, 0.0, shown.bare.shape)
    place = shown.bare[rows, columns]
    return bool(place.size and float(place.std()) > CONTRAST)


def _slices(box: Edges, scale: float, margin: float, shape: Sequence[int]) -> tuple[slice, slice]:
    left, top, right, bottom = (int(edge * scale) for edge in box)
    edge = round(margin * scale)
    return (
        slice(max(0, top - edge), max(0, min(shape[0], bottom + edge + 1))),
        slice(max(0, left - edge), max(0, min(shape[1], right + edge + 1))),
    )


def _broken(runs: Sequence[TextRun]) -> set[int]:
    """A single sign without a meaning is a bullet, or nothing that counts."""
    return {number for number, run in enumerate(runs) if run.broken and len(run.boxes) > 1}


def _sharing(runs: Sequence[TextRun], shown: Shown) -> set[int]:
    """Painted words in one place that say different things; of those that say the same, one is seen, the others not.

    What has the colour of its ground is not seen, whatever makes a difference there.
    """
    places = np.full(shown.full.shape, -1, np.int32)
    sharing: set[int] = set()
    for number, run in enumerate(runs):
        if shown.sights[number] != "painted":
            continue
        place = places[_slices(run.box, shown.scale, -1.0, places.shape)]
        taken = place[place >= 0]
        if taken.size and _has_colour_of_ground(run, shown):
            shown.sights[number] = "hidden"
            continue
        if taken.size > COVERED * place.size:
            other = int(np.bincount(taken).argmax())
            if runs[other].text == run.text:
                shown.sights[number] = "repeated"
                continue
            sharing |= {number, other}
        place[:] = number
    return sharing


def _has_colour_of_ground(run: TextRun, shown: Shown) -> bool:
    ground = shown.bare[_slices(run.box, shown.scale, 0.0, shown.bare.shape)].astype(np.int16)
    return run.style.paint is not None and bool((abs(ground - run.style.paint) <= FAINTEST).mean() > GROUND)


def _uneven(runs: Sequence[TextRun], shown: Shown) -> set[int]:
    """The words with a letter that has two shapes in one font: one of them is another letter, or two in one.

    Where neither is rare, nobody knows which is which.
    """
    shapes: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for number, run in enumerate(runs):
        if shown.sights[number] == "painted" and not run.broken:
            for letter, shape in shapes_of(run):
                shapes[letter].append((shape, number))
    found: set[int] = set()
    for seen in shapes.values():
        usual = median_low(ratio for ratio, _ in seen)
        odd = [number for ratio, number in seen if not usual / UNLIKE < ratio < usual * UNLIKE]
        found.update(odd if len(odd) < RARELY * len(seen) else (number for _, number in seen))
    return found


def _lost(runs: Sequence[TextRun], shown: Shown, changed: Mask) -> Boxes:
    """Painted letters that the file gives no characters for."""
    left = changed.astype(np.uint8)
    boxes = np.array([box for run in runs for box in run.boxes]).reshape(-1, 4) * shown.scale
    edge = round(3.0 * shown.scale)
    corners = np.concatenate([boxes[:, :2] - edge, boxes[:, 2:] + edge + 1], axis=1).astype(int)
    for x0, y0, x1, y1 in np.maximum(corners, 0).tolist():
        left[y0:y1, x0:x1] = 0
    return np.asarray(_letters(left)[0] / np.float32(shown.scale), np.float32)


def _adopted(lost: Boxes, shown: Shown) -> Boxes:
    """Give the lost letters to the words that they touch, which are doubtful then; what is left touches none.

    A letter between two words makes one of them.
    """
    orphans = []
    for box in lost:
        left, top, width, height = box.tolist()
        first, *others = sorted(_touched(box, shown), key=lambda number: shown.runs[number].box[0]) or [-1]
        if first < 0:
            orphans.append(box)
            continue
        parts = [shown.runs[number] for number in (first, *others)]
        boxes = [each for part in parts for each in part.boxes] + [(left, top, left + width, top + height)]
        text = "".join(part.text for part in parts)
        shown.runs[first] = replace(parts[0], text=text, boxes=boxes, broken=1)
        shown.doubtful.add(first)
        for number in others:
            shown.sights[number] = "repeated"
    return np.array(orphans, np.float32).reshape(-1, 4)


def _touched(lost: NDArray[np.float32], shown: Shown) -> list[int]:
    left, top, width, height = lost.tolist()
    near = TOUCHING * height
    return [
        number
        for number, run in enumerate(shown.runs)
        if shown.sights[number] == "painted"
        and run.room[1] <= top + height / 2 <= run.room[3]
        and run.box[0] - near <= left + width
        and left <= run.box[2] + near
    ]


def _ink(page: Grey) -> Grey:
    """1 where there is ink. Most pages have hardly anything but text and rules, and the rest need not be looked at."""
    mask = np.zeros(page.shape, np.uint8)
    paper = int(np.median(page[::8, ::8]))
    marks = (cv2.absdiff(page, np.full_like(page, paper)) > FAINTEST).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(marks)
    if width and _may_have_letters(marks[top : top + height, left : left + width], LARGEST * min(page.shape)):
        place = _slices((left, top, left + width, top + height), 1.0, WINDOW, page.shape)
        mask[place] = ink(np.ascontiguousarray(page[place]))
    return mask


def _may_have_letters(marks: Grey, largest: float) -> bool:
    """Whether something is of the size of a letter, or a ground that may bear some; rules are neither."""
    _, _, found, _ = cv2.connectedComponentsWithStats(marks, connectivity=8, ltype=cv2.CV_32S)
    wide, high, area = found[1:, 2], found[1:, 3], found[1:, 4]
    is_letter = (np.maximum(wide, high) >= SMALLEST) & (high < largest) & (wide <= FLATTEST * high)
    is_ground = (np.minimum(wide, high) >= SMALLEST) & (area > GROUND_AREA * wide * high)
    return bool((is_letter & (area > 0.08 * wide * high)).any() or is_ground.any())


def _letters(mask: Grey) -> tuple[Boxes, Mask]:
    """The boxes of what may be letters, and whether another of about its height stands beside it, or above or below."""
    height, width = mask.shape
    x, y, across, down = cv2.boundingRect(mask)
    _, _, found, _ = cv2.connectedComponentsWithStats(
        mask[y : y + down, x : x + across] if across else mask[:1, :1], connectivity=8, ltype=cv2.CV_32S
    )
    boxes, area = (found[1:, :4] + (x, y, 0, 0)).astype(np.float32), found[1:, 4]
    wide, high = boxes[:, 2], boxes[:, 3]
    side = np.maximum(wide, high)
    is_sized = (side >= SMALLEST) & (side < min(height, width) * LARGEST) & (wide <= FLATTEST * high)
    boxes = np.asarray(boxes[is_sized & (area > 0.08 * wide * high)], np.float32)
    if len(boxes) > MANY:
        return boxes, np.ones(len(boxes), bool)
    company = _are_neighbours(boxes) | _are_neighbours(boxes[:, [1, 0, 3, 2]])
    return boxes, np.asarray(company.any(axis=1), bool)


def _are_neighbours(boxes: Boxes) -> Mask:
    """(n, n): which stand side by side."""
    left, top, wide, high = (column[:, None] for column in boxes.T)
    larger = np.maximum(high, high.T)
    apart = np.abs(top + high / 2 - (top + high / 2).T)
    gap = np.maximum(left, left.T) - np.minimum(left + wide, (left + wide).T)
    alike = np.minimum(high, high.T) > 0.4 * larger
    near = alike & (apart < 0.5 * larger) & (gap < larger) & (gap > -0.5 * larger)
    np.fill_diagonal(near, val=False)
    return np.asarray(near, bool)
