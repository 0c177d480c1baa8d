"""Drop capitals that a text gives as words of their own become the first letters of their words again."""

from collections.abc import Sequence

from inktally.document import Box, Word
from inktally.reading.vocabulary import Vocabulary

TALLER = 1.7  # times as high as the word beside it
BELOW = 0.4  # heights of that word that the capital reaches further down, at least
GAP, LEVEL = 1.2, 0.8  # heights of that word, to the right of the capital and between their heads, at most
WORDS = frozenset("AIO")  # that are words themselves
RARE = 1e-6  # frequency of words that are none


def joined(words: Sequence[Word], known: Vocabulary) -> tuple[Word, ...]:
    """The words of a page, with each drop capital before the word that it begins.

    `A` and `I` begin sentences on their own: they are joined only where that makes a word.
    """
    found: dict[int, Word] = {}
    gone: set[int] = set()
    for number, word in enumerate(words):
        if len(word.text) == 1 and word.text.isupper():
            beside = _beside(word, words)
            if beside is not None and _belong_together(word.text, words[beside].text, known):
                box = _around(word.box, words[beside].box)
                found[beside] = words[beside].model_copy(update={"text": word.text + words[beside].text, "box": box})
                gone.add(number)
    return tuple(found.get(number, word) for number, word in enumerate(words) if number not in gone)


def _beside(initial: Word, words: Sequence[Word]) -> int | None:
    """The number of the word that begins at the head of the capital, right beside it."""
    left, top = initial.box.left + initial.box.width, initial.box.top
    bottom = top + initial.box.height
    near = [
        (word.box.left, number)
        for number, word in enumerate(words)
        if word is not initial
        and initial.box.height >= TALLER * word.box.height
        and bottom - word.box.top - word.box.height > BELOW * word.box.height
        and abs(word.box.top - top) < LEVEL * word.box.height
        and -word.box.height / 2 < word.box.left - left < GAP * word.box.height
    ]
    return min(near)[1] if near else None


def _belong_together(initial: str, rest: str, known: Vocabulary) -> bool:
    if not (rest[0].islower() or (len(rest) > 1 and rest.isupper())):
        return False
    if initial not in WORDS:
        return True
    together, apart = known.frequency(initial + rest), known.frequency(rest)
    return together > RARE and (together > apart or apart < RARE)


def _around(first: Box, second: Box) -> Box:
    left, top = min(first.left, second.left), min(first.top, second.top)
    right = max(first.left + first.width, second.left + second.width)
    bottom = max(first.top + first.height, second.top + second.height)
    return Box(left=left, top=top, width=right - left, height=bottom - top)
