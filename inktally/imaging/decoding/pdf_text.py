"""The text layer of a PDF's page as words with places in lines, paragraphs and blocks, as an engine would give it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from statistics import median_low

from inktally.document import CERTAIN, Box, Word
from inktally.imaging.decoding.pdf_layer import Edges, TextRun, around, upright

NEW_PARAGRAPH = 0.5  # of a line's height, between it and the line above, more than is usual on the page
NEW_BLOCK = 3.0  # the same; or any way up


@dataclass
class _RunLine:
    """Runs that stand side by side, and the numbers of block, paragraph and line that they get."""

    runs: list[TextRun] = field(default_factory=list)
    numbers: tuple[int, int, int] = (1, 1, 1)

    @property
    def box(self) -> Edges:
        """As if the line ran to the right."""
        return around([upright(run.room, run.style.quarters) for run in self.runs])


def words_of(runs: Sequence[TextRun], number: int, width: int, height: int) -> list[Word]:
    """The words of page `number`, with boxes in its pixels, in the file's own order.

    Lines that run sideways are given by pdfium from left to right, whichever of them is the first.
    """
    lines = []
    for quarters, group in groupby(_lines(runs), key=lambda line: line.runs[0].style.quarters):
        stretch = list(group)
        lines += stretch[::-1] if quarters and _is_upwards(stretch) else stretch
    _number(lines)
    return [word for line in lines for word in _words(line, number, width, height)]


def _lines(runs: Sequence[TextRun]) -> Iterator[_RunLine]:
    """Lines as the file or pdfium ends them, or where a run stands no longer beside the one before."""
    line = _RunLine()
    for run in (run for run in runs if run.text):
        if line.runs and (run.starts_line or not _is_beside(run, line.runs[-1])):
            yield line
            line = _RunLine()
        line.runs.append(run)
    if line.runs:
        yield line


def _is_upwards(lines: Sequence[_RunLine]) -> bool:
    """Whether more lines follow each other upwards than downwards, once they are turned upright."""
    steps = [line.box[1] > above.box[1] for above, line in pairwise(lines)]
    return steps.count(False) > steps.count(True)


def _is_beside(run: TextRun, before: TextRun) -> bool:
    quarters = before.style.quarters
    box, other = upright(run.room, quarters), upright(before.room, quarters)
    return run.style.quarters == quarters and box[1] < other[3] and box[3] > other[1]


def _number(lines: list[_RunLine]) -> None:
    """A gap above a line begins a paragraph; a large one, or a jump back up the page, begins a block."""
    gaps = [line.box[1] - above.box[3] for above, line in pairwise(lines)]
    usual = median_low([gap for gap in gaps if gap >= 0] or [0])
    for gap, (above, line) in zip(gaps, pairwise(lines), strict=True):
        block, paragraph, number = above.numbers
        height = max(1.0, line.box[3] - line.box[1])
        is_turned = line.runs[0].style.quarters != above.runs[0].style.quarters
        if is_turned or gap > usual + NEW_BLOCK * height or line.box[3] < above.box[1]:
            line.numbers = block + 1, 1, 1
        elif gap > usual + NEW_PARAGRAPH * height:
            line.numbers = block, paragraph + 1, 1
        else:
            line.numbers = block, paragraph, number + 1


def _words(line: _RunLine, page: int, width: int, height: int) -> Iterator[Word]:
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
            box=_whole(run.box, width, height),
        )


def _whole(box: Edges, width: int, height: int) -> Box:
    """In whole pixels of the picture, and one at least."""
    left, top = max(0, min(int(box[0]), width - 1)), max(0, min(int(box[1]), height - 1))
    right, bottom = min(width, round(box[2])), min(height, round(box[3]))
    return Box(left=left, top=top, width=max(1, right - left), height=max(1, bottom - top))
