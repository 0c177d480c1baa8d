"""What script and language a page is in, for pictures whose language is `auto`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log10
from typing import Any, NamedTuple

import numpy as np
import pytesseract
import regex
from PIL.Image import Image, fromarray

from inktally.errors import MissingTool
from inktally.imaging.page import PageImage
from inktally.imaging.textmask import text_mask
from inktally.languages import SCRIPTS, script_of
from inktally.reading.vocabulary import LISTS

STRIP_LINES = 12
PAPER = 30  # pixels around them
LETTERS = regex.compile(r"[\p{L}\p{M}]{2,}")
RAREST = 1e-8  # a word that is no more frequent counts as unknown
CLEAR = 3.0  # commonness of words that Fraktur read as roman type never reaches
FEWEST_WORDS, LEAST_LEAD = 8, 0.15  # what a language needs over the next one to be believed
COMMON, FAR_MORE = 1e-5, 30  # what a word of another language is there, and is more than in this one
SECOND_LANGUAGE = 0.2  # of the words; on pages in one language up to a tenth look foreign
LEAST_SCRIPT = 5.0  # of Tesseract's confidence in a script; on pages of few letters wrong ones come up to 2


def detect(page: PageImage, candidates: Sequence[str], command: str = "tesseract") -> tuple[str, ...]:
    """The language of an upright page, of those that are installed; seldom two, and never none.

    A few lines are read as English, or as the first candidate, and their words looked up in lists of common words.
    Unless that is clear, Tesseract is asked for the script. Where the page says too little, it is what it was read
    as. Takes half a second to a second. Raises `MissingTool` where there is no candidate, and where the page is
    surely in a script that none of them writes.
    """
    if not candidates:
        raise MissingTool("Tesseract has no models of languages. Install one: apt-get install tesseract-ocr-eng.")
    pytesseract.pytesseract.tesseract_cmd = command
    latin = [language for language in candidates if script_of(language) == "Latin"]
    usual = "eng" if "eng" in candidates else [*latin, *candidates][0]
    strip = _strip(page)
    if strip is None or len(candidates) == 1:
        return (usual,)
    found = _by_words(_read(strip, usual, page.dpi), latin)
    if found and found[0].commonness >= CLEAR:
        return _names(found)
    script, is_sure = _script(strip, page.dpi)
    own = [language for language in SCRIPTS.get(script, ()) if language in candidates]
    if script not in SCRIPTS or not (is_sure or (own and _reads_better(strip, own[0], usual, page.dpi))):
        return _names(found) or (usual,)
    return _of_script(script, candidates, lambda language: _read(strip, language, page.dpi))


def of_words(words: Iterable[str], candidates: Sequence[str]) -> tuple[str, ...]:
    """The language of a text, of those that are installed; never none. Raises `MissingTool` where none is."""
    if not candidates:
        raise MissingTool("Tesseract has no models of languages. Install one: apt-get install tesseract-ocr-eng.")
    letters: list[str] = LETTERS.findall(" ".join(words).casefold())
    usual = "eng" if "eng" in candidates else candidates[0]
    return _names(_by_words(letters, candidates)) or (usual,)


def _strip(page: PageImage) -> Image | None:
    """The lines of a page with most text; None where there is hardly any. The paper around them is as on the page."""
    text = text_mask(page)
    if text is None:
        return None
    rows = np.cumsum(np.pad(text.lines.sum(axis=1, dtype=np.int64), (1, 0)))
    height = min(len(rows) - 1, round(STRIP_LINES * text.pitch))
    top = int(np.argmax(rows[height:] - rows[: len(rows) - height]))
    lines = page.pixels[int(top / text.shrink) : int((top + height) / text.shrink)]
    edges = ((PAPER, PAPER), (PAPER, PAPER), (0, 0))[: lines.ndim]
    return fromarray(np.pad(lines, edges, constant_values=int(np.median(lines))))


def _read(strip: Image, language: str, dpi: int) -> list[str]:
    """The words of a strip in small letters; none where Tesseract fails."""
    try:
        text = pytesseract.image_to_string(strip, lang=language, config=f"--psm 6{_resolution(dpi)}")
    except pytesseract.TesseractError:
        return []
    return list(LETTERS.findall(str(text).casefold()))


def _script(strip: Image, dpi: int) -> tuple[str, bool]:
    """As Tesseract names it, and whether it is sure; empty: it names none."""
    facts = _osd(strip, dpi)
    return (str(facts["script"]), facts["script_conf"] >= LEAST_SCRIPT) if facts else ("", False)


def _reads_better(strip: Image, language: str, usual: str, dpi: int) -> bool:
    """Whether Tesseract is surer of what it reads on a strip in one language than in the other."""
    return _sureness(strip, language, dpi) > _sureness(strip, usual, dpi)


def _sureness(strip: Image, language: str, dpi: int) -> float:
    """Tesseract's confidence in the words of a strip, 0 to 100 on average; 0 where there is none."""
    options = f"--psm 6{_resolution(dpi)}"
    try:
        table = pytesseract.image_to_data(strip, lang=language, config=options, output_type=pytesseract.Output.DICT)
    except pytesseract.TesseractError:
        return 0.0
    found = [float(confidence) for confidence in table["conf"] if float(confidence) >= 0]
    return sum(found) / max(1, len(found))


def turn(page: PageImage, command: str) -> int:
    """By how many quarters Tesseract would turn the page anticlockwise, for its letters of whichever script."""
    pytesseract.pytesseract.tesseract_cmd = command
    facts = _osd(fromarray(page.pixels), page.dpi)
    return int(facts["orientation"]) // 90 if facts else 0


def _osd(picture: Image, dpi: int) -> dict[str, Any] | None:
    """Orientation and script; None where there are too few letters, or osd is not installed."""
    try:
        found: dict[str, Any] = pytesseract.image_to_osd(
            picture, config=_resolution(dpi), output_type=pytesseract.Output.DICT
        )
    except pytesseract.TesseractError:
        return None
    return found


def _resolution(dpi: int) -> str:
    return f" --dpi {dpi}" if dpi else ""


def _of_script(script: str, candidates: Sequence[str], read: Callable[[str], list[str]]) -> tuple[str, ...]:
    languages = [language for language in SCRIPTS[script] if language in candidates]
    if not languages:
        wanted = SCRIPTS[script][0]
        raise MissingTool(
            f"The page is in {script} script, and no model of Tesseract reads that here. Install one: "
            f"apt-get install tesseract-ocr-{wanted.replace('_', '-')}."
        )
    if len(languages) == 1 or script == "Fraktur":
        return (languages[0],)
    return _names(_by_words(read(languages[0]), languages)) or (languages[0],)


class Found(NamedTuple):
    """A language, and how common the words are in it: 0, none is known, to about 5, all are among the commonest."""

    commonness: float
    language: str


def _by_words(words: Sequence[str], languages: Sequence[str]) -> list[Found]:
    """The language in which the words are commonest, and a second one that many of them belong to far more.

    None where there are few words, or where two languages suit all of them equally well.
    """
    lists = lists_of(languages)
    if len(words) < FEWEST_WORDS or not lists:
        return []
    best, *others = sorted((Found(_commonness(words, lists[name]), name) for name in lists), reverse=True)
    for other in others:
        if _foreign(words, lists[best.language], lists[other.language]) >= SECOND_LANGUAGE:
            return [best, other]
    is_sure = not others or best.commonness >= others[0].commonness + LEAST_LEAD
    return [best] if is_sure else []


def _foreign(words: Sequence[str], own: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The share of words that are far more common in another language."""
    foreign = [word for word in words if other.get(word, 0.0) > max(COMMON, FAR_MORE * own.get(word, 0.0))]
    return len(foreign) / len(words)


def _commonness(words: Sequence[str], frequencies: Mapping[str, float]) -> float:
    return sum(log10(max(frequencies.get(word, 0.0), RAREST) / RAREST) for word in words) / len(words)


def lists_of(languages: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """How often words occur, for those languages of which there are lists; of two that share one, the first."""
    from wordfreq import get_frequency_dict

    own = {LISTS[language]: language for language in reversed(languages) if language in LISTS}
    return {language: get_frequency_dict(name, "small") for name, language in own.items()}


def _names(found: Sequence[Found]) -> tuple[str, ...]:
    return tuple(each.language for each in found)
