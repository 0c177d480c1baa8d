"""A page that brings text of its own: how much of that the page shows, and what it shows besides.

The drawn page is the judge. Words that it does not show are left out. An engine reads some of the others on it: where
they say something else, the layer is not believed, and the page is read as a picture. What the page shows besides its
text, as filled forms, annotations, pictures and outlined letters, is read too, and put in its place among the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from inktally.document import Page, PageWarning, WarningCode, Word
from inktally.imaging.decoding.pdf import PdfLayer
from inktally.imaging.decoding.pdf_layer import TextRun
from inktally.imaging.decoding.pdf_text import words_of
from inktally.imaging.glyphs import Boxes
from inktally.imaging.page import PageImage
from inktally.reading.confirmed import Confirmed
from inktally.reading.merging import merged
from inktally.reading.pages import PageRead
from inktally.reading.quality import Judged, judged
from inktally.reading.specimens import Heard, chosen, folded, heard, likeness, spread, without_twins
from inktally.reading.vocabulary import vocabulary

CLEARLY, SURELY = 75.0, 85.0  # confidence of an engine from which it is believed about a single word
MOST_DOUBTFUL, MOST_WRONG = 0.2, 0.25  # of the words, and of those that were read, before the layer is not believed
RARE = 1e-6  # frequency of words that may be misspelt
ALIKE = 0.8  # likeness of two spellings of one word
MOST_STRANGE = 8  # words that no list knows, and that are read to know whether letters are lost
ENOUGH = 10  # words of a sample
ALWAYS = 2  # words of each page that are read even where all its letters are known
MOST_READ = 60  # doubtful words that are read one by one
STAMP = 5.0  # letters beside the text over those of the text, from which the text is a stamp on another page
SPECKS, GAPS = 0.05, 0.2  # of a scan's letters that its layer may miss: they are dirt; else the layer has gaps
SAME, OTHER = 0.9, 0.6  # likeness (F1) of layer and picture: from here they say the same; below they do not
READABLE = 0.6  # quality of a reading that can be held against a layer
LIKELY, SURE = 0.5, 0.9  # chance of a word beside the text that is kept; and where a photograph seems to be read
PICTURE = 0.4  # quality of a reading of nothing but a photograph, at most
FAR_COMMONER = 30.0  # times a word must be, as read, to be what a strange one should say
FEWEST = 2  # letters beside the text
ALMOST_CERTAIN = 99.99  # confidence; what was read beside a text layer is never as sure as that

NOT_BELIEVED = "The text layer of the page says other words than the page shows; the page was read as a picture."
UNCONFIRMED = "The text layer of the page could not be confirmed by reading the page; its words were counted."


class ReadsPages(Protocol):
    """What the child that reads a page does for its text layer."""

    def languages(self, words: Iterable[str]) -> tuple[str, ...]:
        """Of a page that says these words."""

    def ask(self, image: PageImage, languages: tuple[str, ...]) -> Sequence[Word]:
        """The words on a sheet; nothing where no engine can read them here."""

    def read(self, image: PageImage) -> PageRead:
        """A whole page, as a picture."""


def trusted(layer: PdfLayer) -> PageRead:
    """The words of the layer, as far as they are on the page, whatever that shows."""
    on_page = [run for run in layer.runs if _is_on_page(run.box, layer)]
    return PageRead(pages=0, page=_page(layer), words=tuple(_words(layer, on_page)))


def _is_on_page(box: tuple[float, float, float, float], layer: PdfLayer) -> bool:
    left, top, right, bottom = box
    return 0 <= left + right <= 2 * layer.width and 0 <= top + bottom <= 2 * layer.height


def _page(layer: PdfLayer) -> Page:
    return Page(number=layer.number, width=layer.width, height=layer.height, dpi=round(layer.dpi), source="text layer")


def _words(layer: PdfLayer, runs: Sequence[TextRun]) -> list[Word]:
    return words_of(runs, layer.number, layer.width, layer.height)


class CheckedLayer:
    """The text layer of one page, held against the page."""

    def __init__(self, layer: PdfLayer, reader: ReadsPages, confirmed: Confirmed) -> None:
        self._layer = layer
        self._confirmed = confirmed
        self._reader = reader
        self._shown = layer.look()
        self._runs = self._shown.runs
        self._languages = reader.languages(run.text for run in layer.runs)
        self._known = vocabulary(self._languages)
        self._warnings: list[PageWarning] = []

    def read(self) -> PageRead:
        """The words of the page, from wherever they are best known."""
        painted, beneath = self._seen("painted"), self._seen("beneath")
        doubtful = sorted(self._shown.doubtful & painted)
        new = {number for number in painted if not self._confirmed.has(self._runs[number])}
        new.update(spread(sorted(painted), ALWAYS))
        of_paint, of_scan = (chosen(self._runs, group - set(doubtful)) for group in (new, beneath))
        strange = self._strange(new | beneath)
        said = self._heard([*{*of_paint, *of_scan, *spread(strange, MOST_STRANGE), *doubtful[:MOST_READ]}])
        is_scan_wrong = self._is_wrong(of_scan, beneath, said)
        if (
            len(doubtful) > max(FEWEST, MOST_DOUBTFUL * len(painted))
            or self._is_wrong(of_paint, painted, said)
            or (is_scan_wrong and len(painted) <= len(beneath))
        ):
            picture = self._reader.read(self._layer.picture())
            if not self._is_worth_more(self._words(painted | beneath), picture):
                return self._told(picture)
        elif is_scan_wrong:
            beneath = set()
        self._spell(strange, said)
        self._confirm(new, said)
        believed = (painted | beneath) - self._corrected(doubtful, said)
        self._warn_of(number for number, seen in enumerate(self._shown.sights) if self._is_lost(number, seen, believed))
        return self._with_the_rest(believed, has_scan=bool(beneath))

    @staticmethod
    def _is_lost(number: int, seen: str, believed: set[int]) -> bool:
        return number not in believed and seen != "repeated"

    def _seen(self, sight: str) -> set[int]:
        return {number for number, seen in enumerate(self._shown.sights) if seen == sight}

    def _heard(self, numbers: Sequence[int]) -> Mapping[int, Heard]:
        return heard(self._runs, numbers, self._shown, lambda sheet: self._reader.ask(sheet, self._languages))

    def _is_wrong(self, sample: Sequence[int], of: set[int], said: Mapping[int, Heard]) -> bool:
        """Whether too many words of a sample read otherwise. Where it is small, others are asked before that is so."""
        if not self._differ(sample, said):
            return False
        others = spread(sorted(of - set(sample)), ENOUGH) if len(sample) < ENOUGH else []
        return self._differ([*sample, *others], {**said, **self._heard(others)})

    def _differ(self, numbers: Sequence[int], said: Mapping[int, Heard]) -> bool:
        """An engine that is not sure of a word has no voice."""
        voices = [
            self._agree(self._runs[number].text, said[number].text)
            for number in numbers
            if number in said and said[number].confidence >= CLEARLY and folded(said[number].text)
        ]
        return voices.count(False) > MOST_WRONG * len(voices)

    def _confirm(self, numbers: set[int], said: Mapping[int, Heard]) -> None:
        """What was read of painted words holds for their letters on all pages."""
        for number in numbers & said.keys():
            self._confirmed.try_(self._runs[number])
            if without_twins(self._runs[number].text) == without_twins(said[number].text):
                self._confirmed.confirm(self._runs[number])

    def _agree(self, text: str, found: str) -> bool:
        """A word that is known is not wrong because an engine reads something like it that is none."""
        if without_twins(text) == without_twins(found):
            return True
        is_misread = self._known.frequency(text) > max(RARE, FAR_COMMONER * self._known.frequency(found))
        return is_misread and likeness(folded(text), folded(found)) >= ALIKE

    def _corrected(self, doubtful: Sequence[int], said: Mapping[int, Heard]) -> set[int]:
        """Doubtful words get the letters that the page shows. Those of two in one place that say others are hidden."""
        hidden = set()
        for number in doubtful:
            run, found = self._runs[number], said.get(number)
            if found is None or found.confidence < CLEARLY or not folded(found.text):
                continue
            if number in self._shown.sharing:
                if likeness(folded(run.text), folded(found.text)) < ALIKE:
                    hidden.add(number)
            elif number not in self._shown.uneven or self._is_likelier(found, run.text):
                self._runs[number] = replace(run, text=found.text)
        return hidden

    def _is_likelier(self, found: Heard, text: str) -> bool:
        """A letter of an odd shape may be what the file says all the same."""
        return found.confidence >= SURELY and self._known.frequency(found.text) > self._known.frequency(text)

    def _spell(self, strange: Sequence[int], said: Mapping[int, Heard]) -> None:
        """Where words that no list knows read as words that one knows, letters were lost: they are all read."""
        if not any(self._is_misspelt(number, said) for number in strange):
            return
        said = self._heard(strange[:MOST_READ])
        for number in strange:
            if self._is_misspelt(number, said):
                self._runs[number] = replace(self._runs[number], text=said[number].text)

    def _strange(self, numbers: Iterable[int]) -> list[int]:
        texts = {number: self._runs[number].text for number in sorted(numbers)}
        return [number for number, text in texts.items() if self._is_strange(text)]

    def _is_strange(self, text: str) -> bool:
        return bool(self._known) and folded(text).isalpha() and self._known.frequency(text) < RARE

    def _is_misspelt(self, number: int, said: Mapping[int, Heard]) -> bool:
        found, text = said.get(number), self._runs[number].text
        return (
            found is not None
            and found.confidence >= CLEARLY
            and self._is_strange(text)
            and folded(found.text) != folded(text)
            and self._known.frequency(found.text) > max(RARE, FAR_COMMONER * self._known.frequency(text))
        )

    def _is_worth_more(self, words: Sequence[Word], picture: PageRead) -> bool:
        """Whether the layer stands although in doubt: the picture says the same, or is itself hardly readable."""
        words, same, quality = [word for word in words if folded(word.text)], 0.0, picture.page.quality
        if words:
            same = _likeness(words, picture.words)
        if same >= SAME or (same >= OTHER and self._known_share(words) >= self._known_share(picture.words)):
            return True
        is_unreadable = bool(words) and same < OTHER and quality is not None and quality < READABLE
        self._warn("text-layer", UNCONFIRMED if is_unreadable else NOT_BELIEVED)
        return is_unreadable

    def _known_share(self, words: Sequence[Word]) -> float:
        letters = [word for word in words if folded(word.text).isalpha()]
        return sum(self._known.frequency(word.text) > 0 for word in letters) / max(1, len(letters))

    def _with_the_rest(self, believed: set[int], *, has_scan: bool) -> PageRead:
        """The believed words, and what else the page shows; a picture where that is nearly all."""
        words = self._words(believed)
        letters = sum(len(self._runs[number].boxes) for number in believed)
        unread = self._shown.unread(believed)
        gaps = len(unread) / max(1, letters + len(unread))
        if not any(folded(word.text) for word in words) or len(unread) > STAMP * letters or (has_scan and gaps > GAPS):
            return self._told(self._reader.read(self._layer.picture()))
        if len(unread) < FEWEST or (has_scan and gaps < SPECKS):
            return self._read_of(words)
        read, found = self._rest(believed, unread)
        if len(found) > len(words):
            return self._told(self._reader.read(self._layer.picture()))
        if not found:
            return self._read_of(words)
        layer = [Judged(word, 1.0, 1.0) for word in words]
        page = _page(self._layer).model_copy(
            update={"engine": read.page.engine, "languages": read.page.languages, "reason": "beside its text layer"}
        )
        return self._told(PageRead(pages=0, page=page, words=tuple(each.word for each in merged(layer, found))))

    def _rest(self, believed: set[int], unread: Boxes) -> tuple[PageRead, list[Judged]]:
        """What else the page shows, and those of its words that are likely right, in their places on the page."""
        image, left, top = self._layer.rest(self._shown, believed, unread)
        read = self._reader.read(image)
        least = LIKELY if (read.page.quality or 1.0) >= PICTURE else SURE
        likely = [each for each in judged(read.words, read.page.engine, self._known) if each.chance >= least]
        return read, [
            Judged(_moved(each.word, left, top), each.chance, 1.0) for each in likely if folded(each.word.text)
        ]

    def _words(self, numbers: Iterable[int]) -> list[Word]:
        return _words(self._layer, [self._runs[number] for number in sorted(numbers)])

    def _read_of(self, words: Sequence[Word]) -> PageRead:
        return self._told(PageRead(pages=0, page=_page(self._layer), words=tuple(words)))

    def _warn_of(self, hidden: Iterable[int]) -> None:
        count = sum(bool(folded(self._runs[number].text)) for number in hidden)
        if count:
            what = "1 word of the text layer is" if count == 1 else f"{count:,} words of the text layer are"
            self._warn("hidden-words", f"{what} not visible on the page, and not counted.")

    def _warn(self, code: WarningCode, message: str) -> None:
        self._warnings.append(PageWarning(code=code, page=self._layer.number, message=message))

    def _told(self, read: PageRead) -> PageRead:
        return read.model_copy(update={"warnings": (*self._warnings, *read.warnings)})


def _likeness(first: Sequence[Word], second: Sequence[Word]) -> float:
    """Of two readings of a page: the F1 of their words."""
    ours, theirs = (Counter(filter(None, (folded(word.text) for word in words))) for words in (first, second))
    common = (ours & theirs).total()
    return 2 * common / max(1, ours.total() + theirs.total())


def _moved(word: Word, left: int, top: int) -> Word:
    box = word.box.model_copy(update={"left": word.box.left + left, "top": word.box.top + top})
    return word.model_copy(update={"box": box, "section": 0, "confidence": min(word.confidence, ALMOST_CERTAIN)})
