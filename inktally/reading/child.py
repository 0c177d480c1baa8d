"""What a sandboxed child does: decode a page, make it ready, have it read, and say how well that went."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from inktally.document import NOT_DECODED, Page, Word
from inktally.errors import EngineFailed, MissingTool, UnreadablePicture
from inktally.imaging.decoding.document import Document, Limits, check_text, open_document
from inktally.imaging.orientation import classifier
from inktally.imaging.page import PageImage
from inktally.languages import AUTO, script_of
from inktally.reading.initials import joined
from inktally.reading.page_reader import PageReader, engine_of, identified
from inktally.reading.pages import PageRead, PageRequest
from inktally.reading.vocabulary import vocabulary
from inktally.settings import Settings, restored
from inktally.tokens import tokenise


def read_page(**request: Any) -> dict[str, Any]:
    """Answer a `PageRequest` with a `PageRead`, both as JSON has them.

    A page that no free engine has read well is left in the file `deposit`, where the request names one. One with more
    words than the settings allow is refused here, so that the parent never holds it.
    """
    begun = time.monotonic()
    asked = PageRequest.model_validate(request)
    settings = restored(asked.settings)
    limits = Limits(
        max_pixels=settings.max_pixels, max_pages=settings.max_pages, max_page_words=settings.max_page_words
    )
    with open_document(Path(asked.picture), limits) as document:
        try:
            read = _read(document, asked, settings)
        except UnreadablePicture as error:
            if document.page_count == 1:
                raise
            read = _undecoded(asked.number, error)
        pages = document.page_count
    words = joined(read.words, vocabulary(read.page.languages or asked.languages))
    read = read.model_copy(update={"pages": pages, "words": words})
    facts = {"size": _size(read, limits), "seconds": round(time.monotonic() - begun, 3)}
    return read.model_copy(update=facts).model_dump(mode="json")


def _size(read: PageRead, limits: Limits) -> int:
    """The number of words, as they were read or as they will be counted, whichever are more.

    In scripts without spaces a word that was read may be hundreds that count. Raises `TooLarge`.
    """
    number, characters = read.page.number, sum(len(word.text) for word in read.words)
    check_text(len(read.words), characters, number, limits)
    size = max(len(read.words), len(tokenise(read.words)))
    check_text(size, characters, number, limits)
    return size


def load(**request: Any) -> None:
    """Load what `read_page` needs for the same request, without a look at the picture."""
    asked = PageRequest.model_validate(request)
    settings = restored(asked.settings)
    for name, identity in asked.engines.items():
        engine_of(name, settings).load(identity)
    if asked.languages == (AUTO,):
        from inktally.reading.detection import lists_of

        tesseract = asked.engines.get("tesseract")
        lists_of([language for language in (tesseract.models if tesseract else ()) if script_of(language) == "Latin"])
    vocabulary(asked.languages)
    Image.init()  # its decoders
    if settings.imaging:
        classifier()


def _undecoded(number: int, error: UnreadablePicture) -> PageRead:
    """A page without words, as large as A4: the others of its picture are read all the same."""
    page = Page(number=number, width=2480, height=3508, dpi=300, reason=NOT_DECODED)
    return PageRead(pages=0, page=page, words=()).warned("not-decoded", str(error))


def _read(document: Document, asked: PageRequest, settings: Settings) -> PageRead:
    """From the page's own text, as far as that is believed, and else as a picture."""
    layer = None if asked.text_layer == "ignore" else document.layer(asked.number)
    if layer is None:
        page = document.page(asked.number)
        read = PageReader(page.image, asked, settings).read()
        return read.warned("damaged", f"Words may be missing or wrong: {page.damage}.") if page.damage else read
    from inktally.reading.confirmed import Confirmed
    from inktally.reading.text_layer import CheckedLayer, trusted

    if asked.text_layer == "trust":
        return trusted(layer)
    confirmed = Confirmed(asked.confirmed)
    read = CheckedLayer(layer, _LayerReader(asked, settings), confirmed).read()
    return read.model_copy(update={"confirmed": confirmed.learnt})


class _LayerReader:
    """Reads for the check of a text layer, as this request asks."""

    def __init__(self, asked: PageRequest, settings: Settings) -> None:
        self._asked = asked
        self._settings = settings

    def languages(self, words: Iterable[str]) -> tuple[str, ...]:
        tesseract = self._asked.engines.get("tesseract")
        if self._asked.languages != (AUTO,) or tesseract is None:
            return self._asked.languages
        from inktally.reading.detection import of_words

        return of_words(words, tuple(tesseract.models))

    def ask(self, image: PageImage, languages: tuple[str, ...]) -> Sequence[Word]:
        for name in self._asked.engines:
            try:
                identity = identified(name, languages, self._asked, self._settings)
                return engine_of(name, self._settings).read(image, identity).words
            except (EngineFailed, MissingTool, UnreadablePicture):
                continue
        return ()

    def read(self, image: PageImage) -> PageRead:
        return PageReader(image, self._asked, self._settings).read()
