"""What passes between the parent and the child that reads a page for it."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field

from inktally.document import Engine, Page, PageWarning, TextLayer, Value, WarningCode, Word

DEPOSIT = "page.npz"
SAME_SHAPE = 1.15  # times wider or narrower, for its height, that a letter may be
MOST_LETTERS = 20_000  # of all fonts of a file, and their shapes


class ConfirmedLetters(Value):
    """What is known of a file's fonts from some of its pages, by letter and font: shapes, and how often it was read."""

    shapes: dict[str, tuple[float, ...]] = Field(default={})
    tried: dict[str, int] = Field(default={})

    def and_(self, learnt: Self) -> Self:
        """With what was learnt on one more page."""
        if not learnt.shapes and not learnt.tried:
            return self
        shapes, tried = dict(self.shapes), dict(self.tried)
        for letter, found in learnt.shapes.items():
            known = shapes.get(letter, ())
            new = tuple(shape for shape in found if not is_among(shape, known))
            if new and len(shapes) < MOST_LETTERS:
                shapes[letter] = (*known, *new)
        for letter, times in learnt.tried.items():
            if letter in tried or len(tried) < MOST_LETTERS:
                tried[letter] = tried.get(letter, 0) + times
        return self.model_copy(update={"shapes": shapes, "tried": tried})


def is_among(shape: float, known: Iterable[float]) -> bool:
    """Whether one of the known shapes is about the same."""
    return any(shape / SAME_SHAPE < each < shape * SAME_SHAPE for each in known)


class PageRequest(Value):
    """Which page of which picture is to be read, by which free engines, in turn; where it may be left for others."""

    picture: str
    number: int
    settings: str
    engines: dict[str, Engine]
    languages: tuple[str, ...]
    deposit: str = ""
    text_layer: TextLayer = "check"
    confirmed: ConfirmedLetters = ConfirmedLetters()


class PageRead(Value):
    """A page that was read, how many the picture has, and whether another engine should be asked for this one.

    `size` is the number of its words, as they were read or as they will be counted, whichever are more; `confirmed`
    what was learnt of the file's fonts on this page, `seconds` what it took, `paid` how often a paid engine was asked.
    """

    pages: int
    size: int = 0
    page: Page
    words: tuple[Word, ...]
    wanting: bool = False
    confirmed: ConfirmedLetters = ConfirmedLetters()
    warnings: tuple[PageWarning, ...] = ()
    seconds: float = 0.0
    paid: int = 0

    def warned(self, code: WarningCode, message: str) -> Self:
        """The same page, with a warning, before those that it has."""
        warning = PageWarning(code=code, page=self.page.number, message=message)
        return self.model_copy(update={"warnings": (warning, *self.warnings)})

    def told(self, what: str) -> Self:
        """The same page, with one more thing in its history."""
        reason = ", ".join(filter(None, [self.page.reason, what]))
        return self.model_copy(update={"page": self.page.model_copy(update={"reason": reason})})
