"""Runs that play in this process: they read pictures of a store as text that stands in them, without OCR and Spark."""

from __future__ import annotations

import threading
from collections import Counter as Multiset
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inktally import keys
from inktally.delivery import Counting, Delivery, Outcome, Problem, Receipt, Upload
from inktally.document import Box, CountedWord, Engine, Page, PageWarning, Recognition, Word, WordCounts
from inktally.errors import NotAPicture, PictureError
from inktally.intake import status
from inktally.outputs import chosen
from inktally.ports import Store
from inktally.settings import Settings
from inktally.steps import deliveries, disposing, markers, publishing
from inktally.steps.choices import UploadOptions
from inktally.steps.counting import reading_of

PNG = b"\x89PNG\r\n\x1a\n"
BROKEN = PNG + b"broken"
ENGINE = Engine(name="text", version="1", languages=("eng",))
NEXT_LOOK = 0.02


def picture_of(text: str) -> bytes:
    """What these runs read as `text`."""
    return PNG + text.encode()


class OneLine:
    """A `PdfWriter` for pictures that are none."""

    def write(self, picture: Path, recognition: Recognition, target: Path) -> tuple[PageWarning, ...]:
        del picture
        target.write_text(f"%PDF-1.7 {recognition.text}")
        return ()


@contextmanager
def answering(store: Store, settings: Settings) -> Iterator[None]:
    """Within the block, whatever comes below input/ is answered."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(NEXT_LOOK):
            for picture in store.list(keys.INPUT):
                delivery = deliveries.look(store, Upload(key=picture.key, store=store.uri))
                if not markers.is_answered(store, delivery):
                    answer(store, delivery, settings)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def answer(store: Store, delivery: Delivery, settings: Settings) -> None:
    """All the steps of a run, but for the mail."""
    status.take_up(store, delivery, settings)
    if markers.is_answered(store, delivery):
        return
    try:
        outcome = _counted(store, delivery, settings)
    except PictureError as error:
        problem = Problem.of(error)
        disposing.reject(store, delivery, problem)
        outcome = Outcome(upload="", error=problem)
    markers.mark_answered(store, delivery, outcome)


def _counted(store: Store, delivery: Delivery, settings: Settings) -> Outcome:
    content = store.read(delivery.picture.key)
    if content == BROKEN:
        raise NotAPicture("The picture is broken.")
    wishes = UploadOptions.of(delivery.picture.metadata)
    counting = Counting(min_confidence=wishes.min_confidence or 0.0, body_only=wishes.body_only)
    read = _read(content.removeprefix(PNG).decode(errors="replace"))
    receipt = _receipt(store, read)
    words = Multiset(word.text.lower() for word in read.words)
    ordered = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    counts = WordCounts(words=tuple(CountedWord(word=word, count=count, confidence=90) for word, count in ordered))
    store.put(keys.counts(receipt.content, receipt.fingerprint, counting), counts.model_dump_json().encode())
    asked = chosen(wishes.outputs or settings.outputs)
    reading = reading_of(store, delivery, receipt, counting)
    outputs = publishing.publish(store, delivery, reading, asked, OneLine(), settings).outputs
    disposing.dispose(store, delivery, outputs, settings.after, settings)
    facts = {"words": counts.total, "distinct": counts.distinct, "mean_confidence": counts.mean_confidence}
    return Outcome.model_validate({"upload": "", "outputs": outputs, **facts})


def _read(text: str) -> Recognition:
    box = Box(left=0, top=0, width=1, height=1)
    words = [
        Word(text=word, confidence=90, page=1, block=1, paragraph=1, line=1, word=number, box=box)
        for number, word in enumerate(text.split(), 1)
    ]
    return Recognition(engine=ENGINE, pages=(Page(number=1, width=1, height=1),), words=tuple(words), text=text)


def _receipt(store: Store, read: Recognition) -> Receipt:
    content = read.model_dump_json().encode()
    artefact = store.put(keys.recognition("0" * 64, ENGINE.fingerprint), content)
    facts = {"content": "0" * 64, "fingerprint": ENGINE.fingerprint, "artefact": artefact.key, "seconds": 0}
    return Receipt.model_validate(facts | {"words": len(read.words), "pages": 1})
