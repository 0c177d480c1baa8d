"""The steps of a batch as Prefect tasks: one for each recognition, all others for some hundred pictures together.

Callers put long lists into `quote`, so that Prefect does not search them for futures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any

from prefect import task

from inktally.batch import handover
from inktally.batch.handover import Entry, Handed, PartsWriter
from inktally.batch.part import Part
from inktally.batch.place import Place
from inktally.batch.rounds import Share
from inktally.batch.summary import Summary, write_report
from inktally.delivery import Counting, Delivery, Options, OutputName, Receipt, StoredObject
from inktally.document import Engine, Token, WordCounts
from inktally.errors import BadResult, NotFound
from inktally.ports import Store
from inktally.steps import counting as counted_by
from inktally.steps import recognising
from inktally.steps.answering import Answering, tallied
from inktally.steps.looking import Looked, look
from inktally.tokens import counted_tokens
from tasks import caching, wiring
from tasks.retrying import RETRIES, for_many
from tasks.upload_steps import RECOGNITION_TAG

logger = logging.getLogger(__name__)

THREADS = 16
"""That wait for the store at once."""
TOGETHER: dict[str, Any] = {"persist_result": False, **RETRIES}


@lru_cache
def opened(place: Place) -> Store:
    """The store of a place with its pictures; one a process."""
    return place.opened(wiring.settings())


@task(name="look", **TOGETHER)
def look_at(place: Place, pictures: Sequence[StoredObject], options: Options, attempt: str) -> list[Looked | Exception]:
    """Look at pictures, and whether their contents are known, each once. Errors stand in the place of pictures."""
    store, settings = opened(place), wiring.settings()
    recogniser = wiring.recogniser(options.engine or settings.engine)

    def look_at_one(picture: StoredObject) -> Looked:
        return look(store, picture, options, attempt, recogniser, settings)

    looked: list[Looked | Exception] = for_many(look_at_one, pictures, THREADS)
    return looked if options.refresh else _recalled(looked)


def _recalled(looked: Sequence[Looked | Exception]) -> list[Looked | Exception]:
    """With what is known of their contents, or the error that kept us from finding out."""
    contents = {each.content: each for each in looked if isinstance(each, Looked) and each.engine}
    known = dict(zip(contents, for_many(_known, list(contents.values()), THREADS), strict=True))

    def recalled(each: Looked | Exception) -> Looked | Exception:
        if isinstance(each, Exception) or not each.engine:
            return each
        found = known[each.content]
        return found if isinstance(found, Exception) else each.model_copy(update=found)

    return [recalled(each) for each in looked]


def _known(looked: Looked) -> dict[str, Any]:
    assert looked.delivery is not None
    assert looked.engine is not None
    try:
        return {"receipt": caching.cached_receipt(looked.delivery, looked.engine)}
    except BadResult:
        return {"is_cache_bad": True}


@task(name="recognise", task_run_name="recognise {delivery.upload.short_name}", tags=[RECOGNITION_TAG], **RETRIES)
def recognise(place: Place, delivery: Delivery, engine: Engine, part: Part, *, refresh: bool) -> dict[str, Any]:
    """Read a picture's words, at the pace of a part of the batch; the receipt, as plain JSON."""
    store, recogniser = opened(place), wiring.recogniser(engine.name)
    receipt = recognising.recognise(
        store,
        recogniser,
        delivery,
        engine,
        wiring.settings(),
        refresh=refresh,
        when_new=wiring.pace(part.pause).wait,
    )
    return receipt.model_dump(mode="json")


@task(name="hand over", **TOGETHER)
def hand_over(place: Place, writer: PartsWriter, entries: Sequence[Entry], counting: Counting) -> None:
    """Write pictures, and the tokens of each of their recognitions, where the count will find them.

    Of those without a token no count will tell: they have their counts at once. One that has gone, or is damaged, has
    none; whoever answers its pictures will find the same, and say so of each.
    """
    store = opened(place)

    def documents() -> Iterator[tuple[Receipt, Sequence[Token]]]:
        for receipt in {entry.receipt.artefact: entry.receipt for entry in entries if entry.receipt}.values():
            try:
                tokens = counted_tokens(recognising.recognition_of(store, receipt), counting)
            except (NotFound, BadResult) as error:
                logger.warning("the words of a recognition are not counted: %s", error)
                continue
            if not tokens:
                counted_by.keep_counts(store, receipt.content, receipt.fingerprint, counting, WordCounts(words=()))
            yield receipt, tokens

    writer.write(entries, documents())


@task(name="count", **TOGETHER)
def count(place: Place, handed: Handed, into: str) -> None:
    """Count all words that were handed over in one Spark job."""
    wiring.counter_of_parts().count_parts(opened(place), handed.tokens, handed.pictures, into)


@task(name="keep counts", **TOGETHER)
def keep_counts(place: Place, counted: str, counting: Counting) -> None:
    """Keep the counts of each recognition with it, where the next picture with its content finds them."""
    store = opened(place)

    def keep(document: tuple[str, str, WordCounts]) -> None:
        content, fingerprint, counts = document
        counted_by.keep_counts(store, content, fingerprint, counting, counts)

    with ThreadPoolExecutor(THREADS) as pool:
        documents = handover.counted_documents(store, f"{counted}counts/", wiring.settings().scratch)
        while some := list(islice(documents, 10 * THREADS)):
            list(pool.map(keep, some))


@task(name="answer", task_run_name="answer {pictures}", **TOGETHER)
def answer(place: Place, pictures: str, counting: Counting, outputs: tuple[OutputName, ...]) -> Share:
    """Answer the pictures of one file; those that have been answered already are left out."""
    answering = Answering(
        store=opened(place),
        counting=counting,
        outputs=outputs,
        pdf_writer=wiring.pdf_writer(),
        notifier=wiring.notifier(),
        settings=wiring.settings(),
        has_uploaders=not place.mount,
    )
    documents = list(handover.entries_by_document(answering.store, pictures))
    return tallied(answering.store, documents, for_many(answering.answer_document, documents, THREADS))


@task(name="report", **TOGETHER)
def report(place: Place, totals: Sequence[str], share: Share) -> Summary:
    """Write the words of the whole batch and its failures where people find them."""
    return write_report(opened(place), place, totals, share, wiring.settings().scratch)
