"""The text layer of a PDF's page as words with places in lines, paragraphs and blocks, as an engine would give it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_low

from inktally.document import Box, Word
from inktally.imaging.decoding.pdf_layer import Edges, Layer, TextRun
from inktally.imaging.page import PageImage, PageText

CERTAIN = 100.0
NEW_PARAGRAPH = 0.5  # of a line's height, between it and the line above, more than is usual on the page
NEW_BLOCK = 3.0  # the same; or any way up


@dataclass
class _RunLine:
    """Runs that stand side by side, and the numbers of block, paragraph and line that they get."""

    runs: list[TextRun] = field(default_factory=list)
    numbers: tuple[int, int, int] = (1, 1, 1)

    @property
    def box(self) -> Edges:
        left, top, right, bottom = zip(*(run.room for run in self.runs), strict=True)
        return min(left), min(top), max(right), max(bottom)


def text_of(layer: Layer, number: int, image: PageImage) -> PageText:
    """The words of page `number`, with boxes in pixels of `image`, in the file's own order."""
    lines = list(_lines(layer.runs))
    _number(lines)
    return PageText.of(word for line in lines for word in _words(line, number, image))


def _lines(runs: list[TextRun]) -> Iterator[_RunLine]:
    """Lines as the file or pdfium ends them, or where a run stands no longer beside the one before."""
    line = _RunLine()
    for run in (run for run in runs if run.text):
        before = line.runs[-1].room if line.runs else run.room
        is_beside = run.room[1] < before[3] and run.room[3] > before[1]
        if line.runs and (run.starts_line or not is_beside):
            yield line
            line = _RunLine()
        line.runs.append(run)
    if line.runs:
        yield line


def _number(lines: list[_RunLine]) -> None:
    """A gap above a line begins a paragraph; a large one, or a jump back up the page, begins a block."""
    gaps = [line.box[1] - above.box[3] for above, line in pairwise(lines)]
    usual = median_low([gap for gap in gaps if gap >= 0] or [0])
    for gap, (above, line) in zip(gaps, pairwise(lines), strict=True):
        block, paragraph, number = above.numbers
        height = max(1.0, line.box[3] - line.box[1])
        if gap > usual + NEW_BLOCK * height or line.box[3] < above.box[1]:
            line.numbers = block + 1, 1, 1
        elif gap > usual + NEW_PARAGRAPH * height:
            line.numbers = block, paragraph + 1, 1
        else:
            line.numbers = block, paragraph, number + 1


def _words(line: _RunLine, page: int, image: PageImage) -> Iterator[Word]:
    block, paragraph, number = line.numbers
    for place, run in enumerate(line.runs, 1):
        yield Word(
            text=run.text,
            confidence=CERTAIN,
            page=page,
            block=block,
            paragraph=paragraph,
            line=number,
            word=place,
            box=_within(run.box, image),
        )


def _within(box: Edges, image: PageImage) -> Box:
    """In whole pixels of the picture, and one at least."""
    left, top = max(0, min(int(box[0]), image.width - 1)), max(0, min(int(box[1]), image.height - 1))
    right, bottom = min(image.width, round(box[2])), min(image.height, round(box[3]))
    return Box(left=left, top=top, width=max(1, right - left), height=max(1, bottom - top))
