"""A page's words as blocks, paragraphs and lines: the tree that hOCR, ALTO and text layers are written from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from inktally.document import Box, CountsDocument, Page, Recognition, SectionKind, Token, Word

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """What every output is made of: what was read on a picture, the tokens that count, and their counts."""

    recognition: Recognition
    tokens: Sequence[Token]
    counts: CountsDocument
    _made: dict[Callable[[Reading], Any], Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, make: Callable[[Reading], T]) -> T:
        """What `make` gives, which must not depend on `counts`: made once for all pictures with the same content,
        whose readings are copies of each other with other counts."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("T", self._made[make])


@dataclass(frozen=True)
class Line:
    words: tuple[Word, ...]

    @cached_property
    def box(self) -> Box:
        return around(word.box for word in self.words)


@dataclass(frozen=True)
class Paragraph:
    lines: tuple[Line, ...]

    @cached_property
    def box(self) -> Box:
        return around(line.box for line in self.lines)


@dataclass(frozen=True)
class Block:
    """A block of text, and what kind of section it stands in."""

    kind: SectionKind
    paragraphs: tuple[Paragraph, ...]

    @cached_property
    def box(self) -> Box:
        return around(paragraph.box for paragraph in self.paragraphs)


@dataclass(frozen=True)
class PageLayout:
    """A page and its blocks in reading order."""

    page: Page
    blocks: tuple[Block, ...]


def pages(recognition: Recognition) -> list[PageLayout]:
    """All pages in order; those without words have no blocks."""
    words: dict[int, list[Word]] = {page.number: [] for page in recognition.pages}
    for word in recognition.words:
        if word.text.strip():
            words[word.page].append(word)
    return [PageLayout(page, _blocks(page, words[page.number])) for page in recognition.pages]


def _blocks(page: Page, words: Sequence[Word]) -> tuple[Block, ...]:
    kinds = {section.number: section.kind for section in page.sections}
    return tuple(
        Block(kinds.get(block[0].section, "body"), tuple(map(_paragraph, _grouped(block, lambda word: word.paragraph))))
        for block in _grouped(words, lambda word: (word.section, word.block))
    )


def _paragraph(words: Sequence[Word]) -> Paragraph:
    return Paragraph(tuple(Line(tuple(line)) for line in _grouped(words, lambda word: word.line)))


def _grouped(words: Iterable[Word], key: Callable[[Word], Hashable]) -> list[list[Word]]:
    """The words of the same key together, in the order in which the keys first appear."""
    groups: dict[Hashable, list[Word]] = {}
    for word in words:
        groups.setdefault(key(word), []).append(word)
    return list(groups.values())


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of at least one box."""
    edges = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in boxes]
    left, top = min(edge[0] for edge in edges), min(edge[1] for edge in edges)
    right, bottom = max(edge[2] for edge in edges), max(edge[3] for edge in edges)
    return Box(left=left, top=top, width=right - left, height=bottom - top)
