"""Which letters of a file's fonts were read on its pages, and found to be what the file says.

A font says the same of its letters on every page. So they are read where they are met first, and a document of many
pages is checked for little more than one of a few. Each page is read by a child of its own: what one has learnt goes
to later ones by the parent.
"""

from inktally.imaging.decoding.pdf_layer import TextRun, shapes_of
from inktally.reading.pages import MOST_LETTERS, ConfirmedLetters, is_among

OFTEN = 3  # times that a letter was on the sheet, after which it is not put there again


class Confirmed:
    """The letters of fonts, each with its shape: its width over its height."""

    def __init__(self, known: ConfirmedLetters) -> None:
        self._shapes = dict(known.shapes)
        self._tried = dict(known.tried)
        self._new_shapes: dict[str, tuple[float, ...]] = {}
        self._new_tried: dict[str, int] = {}

    @property
    def learnt(self) -> ConfirmedLetters:
        """What was not known before this page."""
        return ConfirmedLetters(shapes=self._new_shapes, tried=self._new_tried)

    def try_(self, run: TextRun) -> None:
        """Its letters were put before an engine, whatever that made of them."""
        for letter in {_name(letter) for letter, _ in shapes_of(run)}:
            if len(self._tried) < MOST_LETTERS:
                self._tried[letter] = self._tried.get(letter, 0) + 1
                self._new_tried[letter] = self._new_tried.get(letter, 0) + 1

    def confirm(self, run: TextRun) -> None:
        """An engine has read what the file says."""
        for letter, shape in shapes_of(run):
            if not self._has(letter, shape) and len(self._shapes) < MOST_LETTERS:
                for shapes in (self._shapes, self._new_shapes):
                    shapes[_name(letter)] = (*shapes.get(_name(letter), ()), round(shape, 3))

    def has(self, run: TextRun) -> bool:
        """Whether nothing can be learnt from this word. Fonts without a name of their own are new on each page."""
        return all(font[:1].isalpha() for font in run.fonts) and all(
            self._has(letter, shape) or self._tried.get(_name(letter), 0) >= OFTEN for letter, shape in shapes_of(run)
        )

    def _has(self, letter: tuple[str, str], shape: float) -> bool:
        return is_among(shape, self._shapes.get(_name(letter), ()))


def _name(letter: tuple[str, str]) -> str:
    font, character = letter
    return character + font
