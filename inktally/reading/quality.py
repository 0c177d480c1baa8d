"""How well a page was read, without knowing what stands on it: how likely each word is right, and what was left out.

The likelihoods are those of a logistic regression over the words of real pages with ground truth (figures in
docs/decisions/0014-recognition.md). Engines can be as sure of a wrong word as of a right one, but a wrong one is seldom
a common word.
"""

from collections.abc import Sequence
from math import exp, log, log10
from typing import NamedTuple

import numpy as np

from inktally.document import Word
from inktally.imaging.glyphs import Boxes
from inktally.reading.vocabulary import Vocabulary

HIGHEST = 8.0  # of frequencies on Zipf's scale, the logarithm of occurrences in a billion words
UNKNOWN = 0.5  # a word's place on that scale, 0 to 1, where there is no list of words


class Weights(NamedTuple):
    """What speaks for a word, in logarithms of odds.

    That it was read at all; each unit of the engine's own log-odds; that it is no word, as numbers are; how common it
    is (0 to 1); that it is a single character; that another engine, which read the same page, has seen nothing there.
    """

    base: float
    confidence: float
    number: float
    frequency: float
    single: float
    alone: float


BASE, OWN, COMPANY = -0.6, 0.87, 0.4
"""How a word's own log-odds and those of the page's average word make up its final ones."""
MOST_PIECES = 4  # that look like letters in one character; those of Chinese are in pieces
LEAST_SURE, MOST_SURE = 0.02, 1.005  # of an engine about a word, so that no log-odds are infinite
TESSERACT = Weights(-1.0, 0.84, 1.45, 4.2, -0.6, -1.7)
WEIGHTS = {"tesseract": TESSERACT, "rapidocr": Weights(-4.15, 1.09, 2.9, 5.2, -0.3, 0.5)}


class Judged(NamedTuple):
    """A word, how likely it is right (0 to 1), and how likely when another engine has seen nothing there."""

    word: Word
    chance: float
    alone: float


def judged(words: Sequence[Word], engine: str, vocabulary: Vocabulary) -> list[Judged]:
    """Each word for itself, and then by the company it keeps: on a page that came out badly no word is safe."""
    weights = WEIGHTS.get(engine, TESSERACT)
    odds = [_odds(word, weights, vocabulary) for word in words]
    company = min(max(sum(map(_chance, odds)) / max(1, len(odds)), 1e-4), 1 - 1e-4)
    shift = BASE + COMPANY * log(company / (1 - company))
    final = [shift + OWN * own for own in odds]
    return [Judged(word, _chance(each), _chance(each + weights.alone)) for word, each in zip(words, final, strict=True)]


def _chance(odds: float) -> float:
    return 1 / (1 + exp(-odds))


def _odds(word: Word, weights: Weights, vocabulary: Vocabulary) -> float:
    sure = min(max(word.confidence / 100, LEAST_SURE), 1.0)
    odds = weights.base + weights.confidence * log(sure / (MOST_SURE - sure))
    letters = sum(character.isalpha() for character in word.text)
    digits = sum(character.isdigit() for character in word.text)
    odds += weights.single * (letters + digits == 1)
    if letters and not digits:
        return odds + weights.frequency * _commonness(word.text, vocabulary)
    return odds + weights.number


def _commonness(text: str, vocabulary: Vocabulary) -> float:
    if not vocabulary:
        return UNKNOWN
    frequency = vocabulary.frequency(text)
    return max(0.0, log10(frequency * 1e9) / HIGHEST) if frequency else 0.0


def coverage(words: Sequence[Word], letters: Boxes) -> float:
    """The share of what looks like letters, in the same pixels, that lies in the words' boxes; 1 where none does.

    A box that holds far more of it than the word has characters covers nothing: engines take a column for a word.
    """
    if not len(letters):
        return 1.0
    if not words:
        return 0.0
    centres = letters[:, :2] + letters[:, 2:] / 2
    boxes = np.array([[word.box.left, word.box.top, word.box.width, word.box.height] for word in words], np.float32)
    covered = np.zeros(len(letters), dtype=bool)
    for word, (left, top, width, height) in zip(words, boxes, strict=True):
        slack = height / 4
        x, y = centres[:, 0] - left, centres[:, 1] - top
        within = (x > -slack) & (x < width + slack) & (y > -slack) & (y < height + slack)
        if np.count_nonzero(within) <= MOST_PIECES * len(word.text):
            covered |= within
    return float(covered.mean())


def quality(chances: Sequence[float], covered: float) -> float:
    """The estimated F1 of a page, 0 to 1: `covered` stands for the share of its words that were found at all."""
    if not chances:
        return float(covered)
    right = sum(chances) / len(chances)
    found = right * covered
    return 2 * right * found / (right + found) if right + found else 0.0
