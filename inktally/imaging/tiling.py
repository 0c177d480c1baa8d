"""Pages for engines that take only so many pixels and bytes: encoded, cut into tiles, and put together again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inktally.document import Box, Word

Pixels = NDArray[np.uint8]
Line = list[Word]

LOSSLESS, QUALITIES = 100, (95, 85, 75, 60, 40)
SEAM = 24  # pixels: a word that two tiles see is taken for one when its centre is so near to the seam
SMALLEST_TILE = 500  # pixels
LINE_GAP = 3  # heights of a word


@dataclass(frozen=True)
class Tile:
    """A part of a page, encoded as PNG or JPEG; it answers for what is in `core`, half of each overlap."""

    box: Box
    core: Box
    content: bytes


def tiles(pixels: Pixels, *, longest: int, most_bytes: int, overlap: int) -> list[Tile]:
    """A page in parts of at most `longest` pixels a side and `most_bytes`, row by row; in one where it fits.

    A word no wider or taller than `overlap` stands wholly in the tile that answers for its centre.
    """
    made = []
    for top, bottom, core_top, core_bottom in _spans(pixels.shape[0], longest, overlap):
        for left, right, core_left, core_right in _spans(pixels.shape[1], longest, overlap):
            content = _encoded(pixels[top:bottom, left:right], most_bytes)
            if content is None:
                half = max(SMALLEST_TILE, longest // 2)
                return tiles(pixels, longest=half, most_bytes=most_bytes, overlap=min(overlap, half // 4))
            box = Box(left=left, top=top, width=right - left, height=bottom - top)
            core = Box(left=core_left, top=core_top, width=core_right - core_left, height=core_bottom - core_top)
            made.append(Tile(box, core, content))
    return made


def _spans(length: int, longest: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """Begin and end of each part of a length, and of its core, which ends in the middle of the overlap."""
    number = 1 if length <= longest else -(-(length - overlap) // (longest - overlap))
    step = (length - overlap) / number
    for part in range(number):
        begin, is_last = round(part * step), part == number - 1
        end = length if is_last else round((part + 1) * step) + overlap
        yield begin, end, begin + overlap // 2 if part else 0, end if is_last else end - overlap // 2


def _encoded(pixels: Pixels, most_bytes: int) -> bytes | None:
    """As PNG, else as the best JPEG that is small enough; None when none is."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    for quality in (LOSSLESS, *QUALITIES):
        buffer = BytesIO()
        if quality == LOSSLESS:
            image.save(buffer, "PNG", compress_level=3)
        else:
            image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= most_bytes:
            return buffer.getvalue()
    return None


def joined(readings: Iterable[tuple[Tile, Sequence[Line]]]) -> list[Line]:
    """The lines of the page, of what was read on its tiles: a word is told once, and lines go on beyond seams."""
    page: list[Line] = []
    for tile, lines in readings:
        earlier = [list(line) for line in page]
        for line in lines:
            own = [word for word in (_moved(word, tile) for word in line) if _belongs(word, tile, earlier)]
            begun = next((known for known in page if own and tile.box.left and _goes_on(known[-1], own[0])), None)
            if begun is not None:
                begun += own
            elif own:
                page.append(own)
    return page


def _moved(word: Word, tile: Tile) -> Word:
    box = word.box.model_copy(update={"left": word.box.left + tile.box.left, "top": word.box.top + tile.box.top})
    return word.model_copy(update={"box": box})


def _belongs(word: Word, tile: Tile, earlier: Sequence[Line]) -> bool:
    """Whether the word stands in the tile's core; near a seam also, whether no tile before has told it."""
    core, box = tile.core, word.box
    x, y = box.left + box.width / 2, box.top + box.height / 2
    inside = min(x - core.left, core.left + core.width - x, y - core.top, core.top + core.height - y)
    if abs(inside) > SEAM:
        return inside > 0
    return not any(_is_same(box, known.box) for line in earlier for known in line)


def _is_same(one: Box, other: Box) -> bool:
    """Whether most of the smaller box lies in the other."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return width > 0 and height > 0 and 2 * width * height > smaller


def _goes_on(last: Word, first: Word) -> bool:
    """Whether a line that ends with one word goes on with the other, beyond a seam."""
    one, other = last.box, first.box
    shared = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    gap = other.left - one.left - one.width
    return 2 * shared > min(one.height, other.height) and -SEAM < gap < LINE_GAP * one.height
