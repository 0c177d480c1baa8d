"""One page that is being read: made ready in one way or another, and read by one engine or more."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from inktally.document import Engine, Page, Section, Word
from inktally.errors import EngineFailed, MissingTool, UnreadablePicture
from inktally.imaging.glyphs import Boxes, brought_near, glyphs, grey, ink
from inktally.imaging.page import PageImage, PageText
from inktally.imaging.preparation import Prepared, prepare, turned
from inktally.imaging.sections import assign, split, whole
from inktally.languages import AUTO, is_plain
from inktally.ports import PageEngine, ReadsBlocks
from inktally.reading.merging import Attempt, attempt, best
from inktally.reading.pages import PageRead, PageRequest
from inktally.reading.remote import leave
from inktally.settings import Settings

FAILURES = (EngineFailed, MissingTool, UnreadablePicture)
Read = Callable[[PageImage, Engine], PageText]
SHORT_LINE = 16  # characters on average; columns of running text have more
READ_WELL, SURELY_WELL = 0.75, 0.85  # quality; on its head Latin comes to less than 0.45, Thai to 0.79
NO_LETTERS: Boxes = np.empty((0, 4), np.float32)


@dataclass(frozen=True)
class _ReadyPage:
    """A page as an engine gets it, its languages, and the boxes of what looks like letters on it."""

    prepared: Prepared
    languages: tuple[str, ...]
    letters: Boxes


class PageReader:
    """One page under way: as it came in, made ready, and how each engine has fared with it.

    The first engine that reads it also tells whether it was made ready well: a page that was turned by mistake, or
    scaled by letters that are none, comes out badly, and is read again in another way. To look for letters takes a
    tenth of the time of a page. Where that was not done while the page was made ready, and nobody else could be
    asked, it is not judged how well it was read.
    """

    def __init__(self, image: PageImage, asked: PageRequest, settings: Settings) -> None:
        self._image = image
        self._asked = asked
        self._settings = settings
        self._is_judged = settings.imaging or len(asked.engines) > 1 or bool(asked.deposit)
        self._is_plain = all(map(is_plain, asked.languages))
        self._ways = self._ways_for_letters() if self._is_plain else self._ways_for_signs()
        if not settings.imaging:
            self._ways = iter([Prepared.of(image)])
        self._ready = self._with_letters(next(self._ways))
        self._history: list[str] = []

    def _ways_for_letters(self) -> Iterator[Prepared]:
        """The page made ready by its letters, turned in likely ways; only turned; at last as Tesseract turns it."""
        first = prepare(self._image)
        yield first
        for quarters in first.turns[1:]:
            yield prepare(self._image, quarters)
        if _is_changed(first):
            for quarters in first.turns:
                yield turned(self._image, quarters)
        quarters = self._turn_by_tesseract()
        if quarters not in (0, *first.turns):
            yield prepare(self._image, quarters)

    def _ways_for_signs(self) -> Iterator[Prepared]:
        """The page as it came in, and turned as anybody would; at last made ready by what seem to be its letters."""
        yield Prepared.of(self._image)
        named = [quarters for quarters in prepare(self._image).turns if quarters]
        for quarters in named:
            yield turned(self._image, quarters)
        quarters = self._turn_by_tesseract()
        if quarters not in (0, *named):
            yield turned(self._image, quarters)
        made = prepare(self._image, self._ready.prepared.turns[0])
        if _is_changed(made):
            yield made

    def _turn_by_tesseract(self) -> int:
        from inktally.reading.detection import turn

        tesseract = self._asked.engines.get("tesseract")
        return turn(self._image, self._settings.tesseract or tesseract.name) if tesseract else 0

    def _with_letters(self, prepared: Prepared) -> _ReadyPage:
        found = prepared.letters
        if found is None:
            found = letters(prepared.image) if self._is_judged else NO_LETTERS
        return _ReadyPage(prepared, _languages(prepared.image, self._asked, self._settings), found)

    def read(self) -> PageRead:
        kept = self._kept()
        wanting = kept is None or kept.quality < self._settings.auto_quality
        if self._asked.deposit and wanting:
            leave(Path(self._asked.deposit), self._image, letters(self._image))
        words, sections = self._placed([each.word for each in kept.words] if kept else [])
        return PageRead(pages=0, page=self._page(kept, sections), words=tuple(words), wanting=wanting)

    def _kept(self) -> Attempt | None:
        """Engine after engine, until one has read well or there is none left; None when there was none."""
        kept: Attempt | None = None
        failure: Exception | None = None
        for name in self._asked.engines:
            try:
                found = self._attempt(name, self._ready) if kept else self._settled(name)
            except FAILURES as error:
                self._history.append(f"{name} failed")
                failure = error
                continue
            kept = self._better(kept, found)
            if kept.quality >= self._settings.auto_quality:
                break
        if failure and not kept:
            raise failure
        return kept

    def _settled(self, name: str) -> Attempt:
        """The best of what an engine reads on the page, made ready in one way or another, until it reads well."""
        kept = self._attempt(name, self._ready)
        enough = READ_WELL if self._is_plain else SURELY_WELL
        while kept.quality < enough and (prepared := next(self._ways, None)):
            with suppress(*FAILURES):
                ready = self._with_letters(prepared)
                found = self._attempt(name, ready, " in another way")
                if found.quality > kept.quality:
                    kept, self._ready = found, ready
        if kept.quality < self._settings.auto_quality and _length_of_lines(kept) < SHORT_LINE:
            return self._as_block(name, kept)
        return kept

    def _as_block(self, name: str, kept: Attempt) -> Attempt:
        """With what the engine reads besides where it looks for no columns: it loses parts of lists among them."""
        engine = engine_of(name, self._settings)
        if not self._is_judged or not isinstance(engine, ReadsBlocks):
            return kept
        return self._better(kept, self._attempt(name, self._ready, " as one block", engine.read_block))

    def _attempt(self, name: str, ready: _ReadyPage, how: str = "", read: Read | None = None) -> Attempt:
        identity = identified(name, ready.languages, self._asked, self._settings)
        text = (read or engine_of(name, self._settings).read)(ready.prepared.image, identity)
        found = attempt(name, text.words, ready.letters, ready.languages)
        self._history.append(f"{name}{how} {found.quality:.2f}" if self._is_judged else name)
        return found

    def _better(self, kept: Attempt | None, found: Attempt) -> Attempt:
        if kept is None:
            return found
        chosen = best(kept, found, self._ready.letters)
        if chosen not in (kept, found):
            self._history.append(f"together {chosen.quality:.2f}")
        return chosen

    def _placed(self, words: Sequence[Word]) -> tuple[list[Word], list[Section]]:
        """The words in their sections, and both on the page that came in."""
        page, number = self._ready.prepared.image, self._asked.number
        is_plain_page = all(map(is_plain, self._ready.languages))
        found = (split if is_plain_page else whole)(page) if self._settings.imaging else []
        placed, sections = assign(words, found) if found else (list(words), [])
        way_back = self._ready.prepared.to_original
        return (
            [word.model_copy(update={"page": number, "box": way_back.box(word.box)}) for word in placed],
            [section.model_copy(update={"box": way_back.box(section.box)}) for section in sections],
        )

    def _page(self, kept: Attempt | None, sections: Sequence[Section]) -> Page:
        steps = self._ready.prepared.steps
        measured = next((int(step.parameters["dpi"]) for step in steps if step.name == "measure"), self._image.dpi)
        return Page(
            number=self._asked.number,
            width=self._image.width,
            height=self._image.height,
            dpi=measured,
            languages=self._ready.languages,
            engine=kept.engine if kept else "",
            reason=", ".join(self._history),
            quality=round(kept.quality, 4) if kept and self._is_judged else None,
            steps=steps,
            sections=tuple(sections),
        )


def _is_changed(prepared: Prepared) -> bool:
    """Whether more was done to the page than to turn it."""
    return any(step.name not in ("measure", "turn") for step in prepared.steps)


def _languages(page: PageImage, asked: PageRequest, settings: Settings) -> tuple[str, ...]:
    """Those that were asked for; for `auto` those that the page shows, of Tesseract's models."""
    tesseract = asked.engines.get("tesseract")
    if asked.languages != (AUTO,) or tesseract is None:
        return asked.languages
    from inktally.reading.detection import detect

    return detect(page, tuple(tesseract.models), settings.tesseract or tesseract.name)


def _length_of_lines(found: Attempt) -> float:
    """In characters, on average."""
    lines = {each.word.line_id for each in found.words}
    return sum(len(each.word.text) for each in found.words) / max(1, len(lines))


def letters(page: PageImage) -> Boxes:
    """The boxes of what looks like letters on a page, in its pixels."""
    small, scale = brought_near(grey(page.pixels))
    return glyphs(ink(small)).boxes / np.float32(scale)


def engine_of(name: str, settings: Settings) -> PageEngine:
    engine: PageEngine = import_module(f"inktally.engines.{name}").build(settings)
    return engine


def identified(name: str, languages: tuple[str, ...], asked: PageRequest, settings: Settings) -> Engine:
    """The engine of the request with these languages. Raises `BadSettings` when it does not know one that was found."""
    if asked.languages == (AUTO,):
        engine_of(name, settings).identify(languages)
    return asked.engines[name].model_copy(update={"languages": languages})
