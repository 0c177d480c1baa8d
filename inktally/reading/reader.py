"""The recogniser: it has a picture's pages read in a sandbox, and asks remote engines itself where that is wanted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from inktally.document import TEXT_LAYER, Engine, Recognition, TextLayer
from inktally.errors import (
    BadSettings,
    CostCapReached,
    MissingTool,
    RecognitionTimeout,
    TooLarge,
    UnreadablePicture,
)
from inktally.imaging.decoding import DECODERS
from inktally.languages import present
from inktally.ports import PageEngine
from inktally.reading.pages import DEPOSIT, ConfirmedLetters, PageRead, PageRequest
from inktally.sandbox.shared import sandbox
from inktally.sandbox.watchdog import too_late
from inktally.scratch import scratch_folder
from inktally.settings import Settings

DOUBTFUL = 0.75  # estimated quality of a page from which it is not said that words may be wrong
READING = "reading/2"  # names all that is done to pages and words besides what the engines do
CHILD = "inktally.reading.child"
PRELOADED = (CHILD, *DECODERS, "numpy.fft", "numpy.ma", "tesserocr", "wordfreq")


@dataclass
class _Task:
    """A picture, the engines that may read it, when that has to be done, and how many pages were paid for."""

    picture: Path
    engines: Mapping[str, Engine]
    end: float
    text_layer: TextLayer
    paid: int = 0
    confirmed: ConfirmedLetters = field(default_factory=ConfirmedLetters)

    def pay(self, most: int) -> None:
        """Raises `CostCapReached` when that many pages of the picture have been paid for already."""
        if self.paid >= most:
            raise CostCapReached(f"At most {most} pages of a picture are read by paid engines (INKTALLY_PAID_PAGES).")
        self.paid += 1


class Reader:
    """Reads with the first of `engines`; a page that came out badly goes to the next, and so on.

    `name` is what it was asked for under; `engines` are by name. Only the first has to be there for a language.
    """

    def __init__(self, name: str, engines: Mapping[str, PageEngine], settings: Settings) -> None:
        if not engines:
            raise BadSettings("INKTALLY_AUTO_ENGINES names no engine; it may be: tesseract,rapidocr.")
        self._name = name
        self._engines = engines
        self._settings = settings
        self._sandbox = sandbox(settings, PRELOADED)

    def warm_up(self) -> None:
        """Begin to start a child, without waiting."""
        self._sandbox.warm_up()

    def identify(self, languages: Sequence[str]) -> Engine:
        """All engines as one. Raises `MissingTool` and `BadSettings` for the first engine only."""
        parts = self._parts(languages)
        first = next(iter(parts.values()))
        options = {
            "reading": READING,
            "imaging": "on" if self._settings.imaging else "off",
            TEXT_LAYER: self._settings.text_layer,
        }
        if len(self._engines) == 1:
            return first.model_copy(update={"options": {**first.options, **options}})
        models = {f"{name}:{model}": digest for name, part in parts.items() for model, digest in part.models.items()}
        options["quality"] = str(self._settings.auto_quality)
        options |= {f"{name}:{key}": value for name, part in parts.items() for key, value in part.options.items()}
        version = ", ".join(f"{name} {part.version}" for name, part in parts.items())
        return Engine(name=self._name, version=version, languages=first.languages, models=models, options=options)

    def _parts(self, languages: Sequence[str]) -> dict[str, Engine]:
        (first, engine), *others = self._engines.items()
        languages = present(languages)
        parts = {first: engine.identify(languages)}
        for name, other in others:
            with suppress(MissingTool, BadSettings):
                parts[name] = other.identify(languages)
        return parts

    def recognise(self, picture: Path, engine: Engine) -> Recognition:
        """All pages, one after the other, within the one time limit of a picture."""
        from inktally.imaging.page import PageText

        end = time.monotonic() + self._settings.recognition_seconds
        task = _Task(picture, self._parts(engine.languages), end, engine.text_layer)
        reads = list(self._pages(task))
        lost = [warning for read in reads for warning in read.warnings if warning.code == "not-decoded"]
        if len(lost) == len(reads):
            raise UnreadablePicture(lost[0].message)
        return Recognition(
            engine=engine,
            pages=tuple(read.page for read in reads),
            words=tuple(word for read in reads for word in read.words),
            text="\f".join(PageText.of(read.words).text for read in reads),
            warnings=tuple(warning for read in reads for warning in read.warnings),
        )

    def _pages(self, task: _Task) -> Iterator[PageRead]:
        """Raises `TooLarge` as soon as all pages so far have too many words."""
        read, words, most = self._read(task, 1), 0, self._settings.max_words
        for number in range(1, read.pages + 1):
            read = read if number == 1 else self._read(task, number)
            words += read.size
            if words > most:
                raise TooLarge(f"The picture has more than {most:,} words (INKTALLY_MAX_WORDS); send it in parts.")
            yield read

    def _read(self, task: _Task, number: int) -> PageRead:
        """One page, and a warning where few of its words seem to be right."""
        read = self._by_engines(task, number)
        quality = read.page.quality
        if quality is None or quality >= DOUBTFUL:
            return read
        return read.warned("doubtful", f"Only about {quality:.0%} of the words seem to be right; scan the page again.")

    def _by_engines(self, task: _Task, number: int) -> PageRead:
        remote = [name for name in task.engines if self._engines[name].remote]
        if not remote:
            return self._in_child(task, number)
        with scratch_folder(self._settings.scratch) as folder:
            read = self._in_child(task, number, folder)
            for name in remote:
                if read.wanting:
                    read = self._by_remote(name, task, read, folder)
        return read

    def _in_child(self, task: _Task, number: int, deposit: Path | None = None) -> PageRead:
        request = PageRequest(
            picture=str(task.picture),
            number=number,
            settings=self._settings.without_secrets(),
            engines={name: part for name, part in task.engines.items() if not self._engines[name].remote},
            languages=next(iter(task.engines.values())).languages,
            deposit=str(deposit / DEPOSIT) if deposit else "",
            text_layer=task.text_layer,
            confirmed=task.confirmed,
        )
        try:
            answer = self._sandbox.call(
                f"{CHILD}:read_page",
                request.model_dump(mode="json"),
                seconds=max(0.0, task.end - time.monotonic()),
                reads=["picture"],
                writes=["deposit"],
                loads=f"{CHILD}:load",
            )
        except RecognitionTimeout as error:
            raise too_late(self._settings.recognition_seconds) from error
        read = PageRead.model_validate(answer)
        task.confirmed = read.confirmed if read.confirmed.tried else task.confirmed
        return read.model_copy(update={"confirmed": ConfirmedLetters()})

    def _by_remote(self, name: str, task: _Task, read: PageRead, folder: Path) -> PageRead:
        """What a paid engine reads on the page as it was decoded, where that is better than what is known."""
        from inktally.reading.remote import better

        try:
            task.pay(self._settings.paid_pages)
            return better(read, name, self._engines[name], task.engines[name], folder, self._settings)
        except CostCapReached as error:
            if not read.page.engine:
                raise
            return read.told(f"{name} not asked: {error}")
