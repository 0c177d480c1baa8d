"""All steps of a picture over a store in memory, with engines that only pretend: for unit tests of the steps."""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from inktally.delivery import Counting, Delivery, Mail, Receipt, Upload
from inktally.document import Box, CountedWord, Engine, Page, PageWarning, Recognition, Token, Word, WordCounts
from inktally.errors import MailRefused
from inktally.outputs import chosen
from inktally.ports import PagesDone
from inktally.settings import Settings
from inktally.steps import announcing, counting, deliveries, publishing, recognising
from tests.support.mailbox import parsed
from tests.support.memory_store import MemoryStore

ENGINE = Engine(name="fake", version="1", languages=("eng",))

COUNTING = Counting()


@dataclass
class FakeRecogniser:
    """Reads a picture as the text that its bytes are."""

    read: list[str] = field(default_factory=list)

    def warm_up(self) -> None:
        return None

    def identify(self, languages: Sequence[str]) -> Engine:
        return ENGINE.model_copy(update={"languages": tuple(languages)})

    def recognise(self, picture: Path, engine: Engine, done: PagesDone | None = None) -> Recognition:  # noqa: ARG002
        text = picture.read_text()
        self.read.append(text)
        box = Box(left=0, top=0, width=1, height=1)
        words = [
            Word(text=word, confidence=90, page=1, block=1, paragraph=1, line=1, word=number, box=box)
            for number, word in enumerate(text.split(), 1)
        ]
        return Recognition(engine=engine, pages=(Page(number=1, width=1, height=1),), words=tuple(words), text=text)


@dataclass
class FakeCounter:
    jobs: list[list[str]] = field(default_factory=list)
    is_ready: bool = True

    def warm_up(self) -> None:
        return None

    def count(self, documents: Mapping[str, Sequence[Token]]) -> dict[str, WordCounts]:
        self.jobs.append(list(documents))
        return {name: counted(tokens) for name, tokens in documents.items()}


def counted(tokens: Sequence[Token]) -> WordCounts:
    words = Multiset(token.text.lower() for token in tokens)
    ordered = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    return WordCounts(words=tuple(CountedWord(word=word, count=count, confidence=90) for word, count in ordered))


@dataclass
class FakeNotifier:
    mails: list[EmailMessage] = field(default_factory=list)
    refuses: bool = False

    def send(self, mail: Mail) -> None:
        if self.refuses:
            raise MailRefused("Not now.")
        self.mails.append(parsed(mail.content))


@dataclass
class FakePdfWriter:
    """Writes the picture's bytes and the words; `error` is raised instead."""

    error: Exception | None = None

    def write(self, picture: Path, recognition: Recognition, target: Path) -> tuple[PageWarning, ...]:
        if self.error:
            raise self.error
        target.write_bytes(picture.read_bytes() + b"|" + recognition.text.encode())
        return ()


@dataclass
class Desk:
    """All that a delivery needs, and the steps up to a point."""

    settings: Settings
    store: MemoryStore = field(default_factory=MemoryStore)
    recogniser: FakeRecogniser = field(default_factory=FakeRecogniser)
    counter: FakeCounter = field(default_factory=FakeCounter)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    pdf_writer: FakePdfWriter = field(default_factory=FakePdfWriter)

    def deliver(self, key: str, text: str, **metadata: str) -> Delivery:
        self.store.put(key, text.encode(), metadata=metadata)
        return deliveries.look(self.store, Upload(key=key, store=self.store.uri))

    def recognise(self, delivery: Delivery, *, refresh: bool = False) -> Receipt:
        return recognising.recognise(self.store, self.recogniser, delivery, ENGINE, self.settings, refresh=refresh)

    def publish(self, delivery: Delivery, names: str = "") -> dict[str, str]:
        """The outputs of these names, else those of the settings."""
        receipt = self.recognise(delivery)
        counting.count(self.store, self.counter, [receipt], COUNTING)
        return self.publish_read(delivery, receipt, names)

    def publish_read(self, delivery: Delivery, receipt: Receipt, names: str = "") -> dict[str, str]:
        outputs = chosen(names or self.settings.outputs)
        reading = counting.reading_of(self.store, delivery, receipt, COUNTING)
        return publishing.publish(self.store, delivery, reading, outputs, self.pdf_writer, self.settings).outputs

    def announce(self, delivery: Delivery) -> str | None:
        receipt = self.recognise(delivery)
        counting.count(self.store, self.counter, [receipt], COUNTING)
        document = counting.counts_document(self.store, delivery, ENGINE, receipt, COUNTING)
        return announcing.announce_counts(self.store, self.notifier, delivery, document, self.settings)

    def keys(self, prefix: str) -> list[str]:
        return [found.key for found in self.store.list(prefix)]
