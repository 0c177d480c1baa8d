"""The recogniser: it has a picture's pages read in a sandbox, and asks remote engines itself where that is wanted."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from inktally.document import TEXT_LAYER, Engine, Recognition, TextLayer
from inktally.errors import (
    BadSettings,
    CostCapReached,
    MissingTool,
    TooLarge,
    UnreadablePicture,
)
from inktally.imaging.decoding import DECODERS
from inktally.languages import present
from inktally.ports import PageEngine, PagesDone
from inktally.reading.page_order import PageOrder, in_order
from inktally.reading.pages import DEPOSIT, ConfirmedLetters, PageRead, PageRequest
from inktally.sandbox.shared import sandbox
from inktally.sandbox.watchdog import too_slow
from inktally.scratch import scratch_folder
from inktally.settings import Settings

DOUBTFUL = 0.75  # estimated quality of a page from which it is not said that words may be wrong
READING = "reading/3"  # names all that is done to pages and words besides what the engines do
CHILD = "inktally.reading.child"
PRELOADED = (CHILD, *DECODERS, "numpy.fft", "numpy.ma", "tesserocr", "wordfreq")


@dataclass
class _Task:
    """A picture, the engines that may read it, and what is known of its pages so far, in their order."""

    picture: Path
    engines: Mapping[str, Engine]
    text_layer: TextLayer
    done: PagesDone | None
    order: PageOrder = field(default_factory=PageOrder)
    kept: frozenset[int] = frozenset()
    words: int = 0
    lock: Lock = field(default_factory=Lock)
    seconds: float = 0.0
    paid: int = 0
    confirmed: ConfirmedLetters = field(default_factory=ConfirmedLetters)

    def add(self, words: int, most: int) -> None:
        """Of a page that is read, whichever that is: too many are refused while no more of them are in memory.

        Raises `TooLarge` when all pages so far have more words than that.
        """
        with self.lock:
            self.words += words
            if self.words > most:
                raise TooLarge(f"The picture has more than {most:,} words (INKTALLY_MAX_WORDS); send it in parts.")

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

    def recognise(self, picture: Path, engine: Engine, done: PagesDone | None = None) -> Recognition:
        """All pages, several at a time, and the same as one after the other; those that were `done` before are taken.

        A page may take as long as the settings say, all pages up to one a tenth of that longer for each of them.
        """
        from inktally.imaging.page import PageText

        task = _Task(picture, self._parts(engine.languages), engine.text_layer, done)
        with closing(self._pages(task)) as pages:
            reads = list(pages)
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

    def _pages(self, task: _Task) -> Generator[PageRead]:
        """The first page says how many there are; a single one needs no thread."""
        first = self._read(task, 1, task.confirmed)
        task.add(first.size, self._settings.max_words)
        yield self._counted(task, first, first.pages)
        if first.pages == 1:
            return
        task.kept = task.done.numbers() if task.done else frozenset()
        begin = partial(self._begin, task)
        with closing(in_order(first.pages, begin, task.order, self._settings.recognition_workers)) as others:
            for read in others:
                yield self._counted(task, read, first.pages)

    def _counted(self, task: _Task, read: PageRead, pages: int) -> PageRead:
        """Page after page. Raises `RecognitionTimeout` when they are all slow."""
        number = read.page.number
        task.seconds += read.seconds
        if task.seconds > self._settings.seconds_for(number):
            raise too_slow(task.seconds, number)
        task.confirmed = task.confirmed.and_(read.confirmed)
        if task.done and pages > 1:
            task.done.tell(number, pages)
        return read.model_copy(update={"confirmed": ConfirmedLetters()})

    def _begin(self, task: _Task, number: int) -> Callable[[], PageRead]:
        """What reads a page, with what is known of the file's fonts now."""
        return partial(self._kept_or_read, task, number, task.confirmed)

    def _kept_or_read(self, task: _Task, number: int, confirmed: ConfirmedLetters) -> PageRead:
        read = self._kept(task, number)
        if read is None:
            read = self._read(task, number, confirmed)
            if task.done:
                task.done.keep(number, read.model_dump_json().encode())
        task.add(read.size, self._settings.max_words)
        return read

    def _kept(self, task: _Task, number: int) -> PageRead | None:
        """What another run has read of a page, and may have paid for."""
        read = _restored(task.done.page(number), number) if task.done and number in task.kept else None
        if read and self._remote(task):
            with task.order.turn(number):
                task.paid += read.paid
        return read

    def _read(self, task: _Task, number: int, confirmed: ConfirmedLetters) -> PageRead:
        """One page, and a warning where few of its words seem to be right."""
        read = self._by_engines(task, number, confirmed)
        quality = read.page.quality
        if quality is None or quality >= DOUBTFUL:
            return read
        return read.warned("doubtful", f"Only about {quality:.0%} of the words seem to be right; scan the page again.")

    def _remote(self, task: _Task) -> list[str]:
        return [name for name in task.engines if self._engines[name].remote]

    def _by_engines(self, task: _Task, number: int, confirmed: ConfirmedLetters) -> PageRead:
        """Paid engines are asked by page after page: which pages are paid for must not hang on who is quickest."""
        remote = self._remote(task)
        if not remote:
            return self._in_child(task, number, confirmed)
        with scratch_folder(self._settings.scratch) as folder:
            read = self._in_child(task, number, confirmed, folder)
            with task.order.turn(number):
                paid = task.paid
                for name in remote:
                    if read.wanting:
                        read = self._by_remote(name, task, read, folder)
                return read.model_copy(update={"paid": task.paid - paid})

    def _in_child(self, task: _Task, number: int, confirmed: ConfirmedLetters, deposit: Path | None = None) -> PageRead:
        request = PageRequest(
            picture=str(task.picture),
            number=number,
            settings=self._settings.without_secrets(),
            engines={name: part for name, part in task.engines.items() if not self._engines[name].remote},
            languages=next(iter(task.engines.values())).languages,
            deposit=str(deposit / DEPOSIT) if deposit else "",
            text_layer=task.text_layer,
            confirmed=confirmed,
        )
        answer = self._sandbox.call(
            f"{CHILD}:read_page",
            request.model_dump(mode="json"),
            seconds=self._settings.recognition_seconds,
            reads=["picture"],
            writes=["deposit"],
            loads=f"{CHILD}:load",
            is_wanted=partial(task.order.wants, number) if number > 1 else None,
        )
        return PageRead.model_validate(answer)

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


def _restored(page: bytes, number: int) -> PageRead | None:
    """None for what is no page of ours: then it is read again."""
    try:
        read = PageRead.model_validate_json(page)
    except ValidationError:
        return None
    return read if read.page.number == number else None
