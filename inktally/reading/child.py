"""What a sandboxed child does: decode a page, make it ready, have it read, and say how well that went."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inktally.document import Page, Section, Word
from inktally.errors import EngineFailed, MissingTool, UnreadablePicture
from inktally.imaging.decoding.document import DecodedPage, Limits, open_document
from inktally.imaging.glyphs import Boxes, brought_near, glyphs, grey, ink
from inktally.imaging.orientation import classifier
from inktally.imaging.page import PageImage
from inktally.imaging.preparation import Prepared, prepare
from inktally.imaging.sections import assign, split
from inktally.languages import AUTO
from inktally.ports import PageEngine
from inktally.reading.merging import Attempt, attempt, best
from inktally.reading.pages import PageRead, PageRequest
from inktally.reading.remote import leave
from inktally.reading.vocabulary import vocabulary
from inktally.settings import Settings, restored

NO_LETTERS: Boxes = np.empty((0, 4), np.float32)


def read_page(**request: Any) -> dict[str, Any]:
    """Answer a `PageRequest` with a `PageRead`, both as JSON has them.

    A page that no free engine has read well is left in the file `deposit`, where the request names one.
    """
    asked = PageRequest.model_validate(request)
    settings = restored(asked.settings)
    limits = Limits(max_pixels=settings.max_pixels, max_pages=settings.max_pages)
    with open_document(Path(asked.picture), limits) as document:
        decoded, pages = document.page(asked.number), document.page_count
    read = _text_layer(decoded, asked.number) or _PageAtWork(decoded.image, asked, settings).read()
    return read.model_copy(update={"pages": pages}).model_dump(mode="json")


def load(**request: Any) -> None:
    """Load what `read_page` needs for the same request, without a look at the picture."""
    asked = PageRequest.model_validate(request)
    settings = restored(asked.settings)
    for name, identity in asked.engines.items():
        engine: PageEngine = import_module(f"inktally.engines.{name}").build(settings)
        engine.load(identity)
    if asked.languages == (AUTO,):
        from inktally.reading.detection import NOT_LATIN, lists_of

        tesseract = asked.engines.get("tesseract")
        lists_of([language for language in (tesseract.models if tesseract else ()) if language not in NOT_LATIN])
    vocabulary(asked.languages)
    Image.init()  # its decoders
    if settings.imaging:
        classifier()


def _text_layer(decoded: DecodedPage, number: int) -> PageRead | None:
    """The text that the file itself holds, as it is."""
    if decoded.text is None:
        return None
    image = decoded.image
    page = Page(number=number, width=image.width, height=image.height, dpi=image.dpi, source="text layer")
    return PageRead(pages=number, page=page, words=decoded.text.words)


class _PageAtWork:
    """One page under way: as it came in, made ready, and how each engine has fared with it.

    To look for letters takes a tenth of the time of a page. Where that was not done while the page was made ready,
    and nobody else could be asked, it is not judged how well it was read.
    """

    def __init__(self, image: PageImage, asked: PageRequest, settings: Settings) -> None:
        self._image = image
        self._asked = asked
        self._settings = settings
        self._prepared = prepare(image) if settings.imaging else Prepared.of(image)
        self._languages = _languages(self._prepared.image, asked, settings)
        self._sections = split(self._prepared.image) if settings.imaging else []
        self._is_judged = settings.imaging or len(asked.engines) > 1 or bool(asked.deposit)
        self._letters = self._found_letters() if self._is_judged else NO_LETTERS
        self._history: list[str] = []

    def _found_letters(self) -> Boxes:
        known = self._prepared.letters
        return letters(self._prepared.image) if known is None else known

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
                found = self._attempt(name)
            except (EngineFailed, MissingTool, UnreadablePicture) as error:
                self._history.append(f"{name} failed")
                failure = error
                continue
            kept = self._better(kept, found)
            if kept.quality >= self._settings.auto_quality:
                break
        if failure and not kept:
            raise failure
        return kept

    def _attempt(self, name: str) -> Attempt:
        engine: PageEngine = import_module(f"inktally.engines.{name}").build(self._settings)
        if self._asked.languages == (AUTO,):
            engine.identify(self._languages)  # which it may not know
        identity = self._asked.engines[name].model_copy(update={"languages": self._languages})
        text = engine.read(self._prepared.image, identity)
        found = attempt(name, text.words, self._letters, self._languages)
        self._history.append(f"{name} {found.quality:.2f}" if self._is_judged else name)
        return found

    def _better(self, kept: Attempt | None, found: Attempt) -> Attempt:
        if kept is None:
            return found
        chosen = best(kept, found, self._letters)
        if chosen not in (kept, found):
            self._history.append(f"together {chosen.quality:.2f}")
        return chosen

    def _placed(self, words: Sequence[Word]) -> tuple[list[Word], list[Section]]:
        """The words in their sections, and both on the page that came in."""
        way_back, number = self._prepared.to_original, self._asked.number
        placed, sections = assign(words, self._sections) if self._sections else (list(words), [])
        return (
            [word.model_copy(update={"page": number, "box": way_back.box(word.box)}) for word in placed],
            [section.model_copy(update={"box": way_back.box(section.box)}) for section in sections],
        )

    def _page(self, kept: Attempt | None, sections: Sequence[Section]) -> Page:
        steps = self._prepared.steps
        measured = next((int(step.parameters["dpi"]) for step in steps if step.name == "measure"), self._image.dpi)
        return Page(
            number=self._asked.number,
            width=self._image.width,
            height=self._image.height,
            dpi=measured,
            languages=self._languages,
            engine=kept.engine if kept else "",
            reason=", ".join(self._history),
            quality=round(kept.quality, 4) if kept and self._is_judged else None,
            steps=steps,
            sections=tuple(sections),
        )


def _languages(page: PageImage, asked: PageRequest, settings: Settings) -> tuple[str, ...]:
    """Those that were asked for; for `auto` those that the page shows, of Tesseract's models."""
    tesseract = asked.engines.get("tesseract")
    if asked.languages != (AUTO,) or tesseract is None:
        return asked.languages
    from inktally.reading.detection import detect

    return detect(page, tuple(tesseract.models), settings.tesseract or tesseract.name)


def letters(page: PageImage) -> Boxes:
    """The boxes of what looks like letters on a page, in its pixels."""
    small, scale = brought_near(grey(page.pixels))
    return glyphs(ink(small)).boxes / np.float32(scale)
