"""Pages are split into sections before they are read: columns in reading order, headers, footers and page numbers.

The page is cut at its gutters: white strips, taller than a few lines, with running text on both sides. The cells of a
table, the numbers beside the lines of a filing and the prices of a receipt stand apart as well, but are no running
text, so they stay with what they belong to. All lengths are in units of the page's own letters, whatever its DPI.
"""

from collections import defaultdict
from collections.abc import Sequence
from math import ceil

import regex

from inktally.document import Box, Section, SectionKind, Word
from inktally.imaging.gutters import columns
from inktally.imaging.margins import margins
from inktally.imaging.page import PageImage
from inktally.imaging.textmask import Area, text_mask

NUMBER = regex.compile(r"[\W_]*(?:page|seite|p\.?|s\.?)?[\W_]*(?:\d{1,4}|[ivxlc]{1,7})[\W_]*", regex.IGNORECASE)


def split(page: PageImage) -> list[Section]:
    """The sections of an upright, deskewed page in reading order: headers, body, footers; never none.

    A plain page is one body section that covers all of it. Boxes are in pixels of `page`, hold their text with some
    white around it, and may lie upon each other: a caption between two columns reaches into theirs. Whether a header
    is a page number is a guess by its width until `assign` has its words. About a tenth of a second for A4 at 300 dpi.
    """
    text = text_mask(page)
    if text is None:
        return whole(page)
    parts = margins(text)
    first, *others = columns(text, parts.body) or [parts.body]
    bodies = [first, *others] if others else [parts.body]
    found: list[tuple[SectionKind, Area]] = [*parts.headers, *(("body", area) for area in bodies), *parts.footers]
    return [_section(number, kind, area, text.shrink, page) for number, (kind, area) in enumerate(found, 1)]


def whole(page: PageImage) -> list[Section]:
    """A page that is not divided, as one body section."""
    return [_section(1, "body", Area(0, 0, page.width, page.height), 1.0, page)]


def _section(number: int, kind: SectionKind, area: Area, shrink: float, page: PageImage) -> Section:
    left, top = int(area.left / shrink), int(area.top / shrink)
    right, bottom = min(page.width, ceil(area.right / shrink)), min(page.height, ceil(area.bottom / shrink))
    return Section(number=number, kind=kind, box=Box(left=left, top=top, width=right - left, height=bottom - top))


def assign(words: Sequence[Word], sections: Sequence[Section]) -> tuple[list[Word], list[Section]]:
    """The words of one page, each with its section, in reading order; and those sections that have words.

    `words` are in the engine's order, their boxes in the same pixels as the sections'. A word belongs to the smallest
    section that its centre lies in, else to the nearest. Within a section the engine's order stays. Blocks are numbered
    anew, so that no line goes on from one section into another. A header or footer of nothing but a number is a page
    number, and what looked like a page number but has other words is none.
    """
    homes: dict[int, list[Word]] = defaultdict(list)
    for word in words:
        homes[_home(word.box, sections).number].append(word)
    read = [section for section in sections if homes[section.number]] or list(sections[:1])
    blocks: dict[tuple[int, int], int] = {}
    placed, kept = [], []
    for number, section in enumerate(read, 1):
        own = homes[section.number]
        for word in own:
            block = blocks.setdefault((number, word.block), len(blocks) + 1)
            placed.append(word.model_copy(update={"section": number, "block": block}))
        kept.append(section.model_copy(update={"number": number, "kind": _kind(section, own, sections)}))
    return placed, kept


def _home(box: Box, sections: Sequence[Section]) -> Section:
    x, y = box.left + box.width / 2, box.top + box.height / 2
    return min(sections, key=lambda section: (_distance(x, y, section.box), section.box.width * section.box.height))


def _distance(x: float, y: float, box: Box) -> float:
    """From a point to a box, squared; 0 within."""
    beside = max(box.left - x, 0, x - box.left - box.width)
    above = max(box.top - y, 0, y - box.top - box.height)
    return beside**2 + above**2


def _kind(section: Section, words: Sequence[Word], sections: Sequence[Section]) -> SectionKind:
    if section.kind == "body":
        return "body"
    if NUMBER.fullmatch(" ".join(word.text for word in words)):
        return "page-number"
    first_body = next((other.number for other in sections if other.kind == "body"), 0)
    return "header" if section.number < first_body else "footer"
