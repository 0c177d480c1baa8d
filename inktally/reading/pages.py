"""What passes between the parent and the child that reads a page for it."""

from typing import Self

from pydantic import Field

from inktally.document import Engine, Page, PageWarning, TextLayer, Value, WarningCode, Word

DEPOSIT = "page.npz"


class ConfirmedLetters(Value):
    """What is known of a file's fonts from its pages so far, by letter and font: shapes, and how often it was read."""

    shapes: dict[str, tuple[float, ...]] = Field(default={})
    tried: dict[str, int] = Field(default={})


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

    `size` is the number of its words, as they were read or as they will be counted, whichever are more.
    """

    pages: int
    size: int = 0
    page: Page
    words: tuple[Word, ...]
    wanting: bool = False
    confirmed: ConfirmedLetters = ConfirmedLetters()
    warnings: tuple[PageWarning, ...] = ()

    def warned(self, code: WarningCode, message: str) -> Self:
        """The same page, with a warning, before those that it has."""
        warning = PageWarning(code=code, page=self.page.number, message=message)
        return self.model_copy(update={"warnings": (warning, *self.warnings)})

    def told(self, what: str) -> Self:
        """The same page, with one more thing in its history."""
        reason = ", ".join(filter(None, [self.page.reason, what]))
        return self.model_copy(update={"page": self.page.model_copy(update={"reason": reason})})
