"""Which letters of a file's fonts were read on its pages, and found to be what the file says.

A font says the same of its letters on every page. So they are read where they are met first, and a document of many
pages is checked for little more than one of a few.
"""

from collections import Counter, defaultdict
from functools import lru_cache

from inktally.imaging.decoding.pdf_layer import TextRun, shapes_of

OFTEN = 3  # times that a letter was on the sheet, after which it is not put there again
SAME_SHAPE = 1.15  # times wider or narrower, for its height, that a letter may be


class Confirmed:
    """The letters of fonts, each with its shape: its width over its height."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._tried: Counter[tuple[str, str]] = Counter()

    def try_(self, run: TextRun) -> None:
        """Its letters were put before an engine, whatever that made of them."""
        self._tried.update({letter for letter, _ in shapes_of(run)})

    def confirm(self, run: TextRun) -> None:
        """An engine has read what the file says."""
        for letter, shape in shapes_of(run):
            if not self._has(letter, shape):
                self._shapes[letter].append(shape)

    def has(self, run: TextRun) -> bool:
        """Whether nothing can be learnt from this word. Fonts without a name of their own are new on each page."""
        return all(font[:1].isalpha() for font in run.fonts) and all(
            self._has(letter, shape) or self._tried[letter] >= OFTEN for letter, shape in shapes_of(run)
        )

    def _has(self, letter: tuple[str, str], shape: float) -> bool:
        return any(shape / SAME_SHAPE < known < shape * SAME_SHAPE for known in self._shapes.get(letter, ()))


@lru_cache(maxsize=2)
def confirmed_in(path: str) -> Confirmed:
    """Of the file at the path, as long as this process remembers. Copies of pictures have paths of their own."""
    del path
    return Confirmed()
