"""The steps of a batch as Prefect tasks, each for some hundred pictures together.

The flow opens the store once and hands it on. Callers put long lists into `whole`, so that Prefect does not search them
for futures.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

from prefect import task
from prefect.utilities.annotations import quote

from inktally.batch import handover
from inktally.batch.answering import answer_document, set_aside
from inktally.batch.handover import Entry, Handed, PartsWriter
from inktally.batch.looking import Looked, look
from inktally.batch.place import Place
from inktally.batch.rounds import Share, tallied
from inktally.batch.summary import Summary, write_report
from inktally.delivery import Counting, Options, Receipt, StoredObject
from inktally.document import Token, WordCounts
from inktally.errors import BadResult, NotFound
from inktally.ports import Store
from inktally.steps.answering import Services
from inktally.steps.choices import Choices
from inktally.steps.counting import keep_counts
from inktally.steps.deliveries import recalled
from inktally.steps.recognising import recognition_of
from inktally.tokens import counted_tokens
from tasks import caching, wiring
from tasks.retrying import RETRIES, for_many

logger = logging.getLogger(__name__)

THREADS = 16
"""That wait for the store at once."""
TOGETHER: dict[str, Any] = {"persist_result": False, **RETRIES}
T = TypeVar("T")


def whole(value: T) -> T:
    """As an argument of a task that Prefect does not search for futures."""
    return cast("T", quote(value))


@task(name="look", **TOGETHER)
def look_at(store: Store, pictures: Sequence[StoredObject], options: Options, attempt: str) -> list[Looked | Exception]:
    """Look at pictures, and whether their contents are known, each once. Errors take the place of pictures."""
    settings = wiring.settings()
    recogniser = wiring.recogniser(options.engine or settings.engine)
    looked: list[Looked | Exception] = for_many(
        lambda picture: look(store, picture, options, attempt, recogniser, settings), pictures, THREADS
    )
    return looked if options.refresh else _recalled(looked)


def _recalled(looked: Sequence[Looked | Exception]) -> list[Looked | Exception]:
    """With what is known of their contents, or the error that kept us from finding out."""
    recall = partial(recalled, cached_receipt=caching.cached_receipt)
    unread = {each.needs.content: each.needs for each in looked if isinstance(each, Looked) and each.needs}
    known = dict(zip(unread, for_many(recall, list(unread.values()), THREADS), strict=True))

    def with_receipt(each: Looked | Exception) -> Looked | Exception:
        if isinstance(each, Exception) or each.needs is None:
            return each
        found = known[each.needs.content]
        if isinstance(found, Exception):
            return found
        facts = {"receipt": found.receipt, "hint": found.hint}
        return each.model_copy(update={"needs": each.needs.model_copy(update=facts)})

    return [with_receipt(each) for each in looked]


@task(name="hand over", **TOGETHER)
def hand_over(store: Store, writer: PartsWriter, entries: Sequence[Entry], counting: Counting) -> None:
    """Write pictures, and the tokens of each of their recognitions, where the count will find them.

    Of those without a token no count will tell: they have their counts at once. One that has gone, or is damaged, has
    none; whoever answers its pictures will find the same, and say so of each.
    """

    def documents() -> Iterator[tuple[Receipt, Sequence[Token]]]:
        for receipt in {entry.receipt.artefact: entry.receipt for entry in entries if entry.receipt}.values():
            try:
                tokens = counted_tokens(recognition_of(store, receipt), counting)
            except (NotFound, BadResult) as error:
                logger.warning("the words of a recognition are not counted: %s", error)
                continue
            if not tokens:
                keep_counts(store, receipt.content, receipt.fingerprint, counting, WordCounts(words=()))
            yield receipt, tokens

    writer.write(entries, documents())


@task(name="count", **TOGETHER)
def count(store: Store, handed: Handed, into: str) -> None:
    """Count all words that were handed over in one Spark job."""
    wiring.counter_of_parts().count_parts(store, handed.tokens, handed.pictures, into)


@task(name="keep counts", **TOGETHER)
def keep_batch_counts(store: Store, counted: str, counting: Counting) -> None:
    """Keep the counts of each recognition with it, where the next picture with its content finds them."""

    def keep_one(document: tuple[str, str, WordCounts]) -> None:
        content, fingerprint, counts = document
        keep_counts(store, content, fingerprint, counting, counts)

    with ThreadPoolExecutor(THREADS) as pool:
        documents = handover.counted_documents(store, f"{counted}counts/", wiring.settings().scratch)
        while some := list(islice(documents, 10 * THREADS)):
            list(pool.map(keep_one, some))


@task(name="answer", task_run_name="answer {pictures}", **TOGETHER)
def answer(services: Services, choices: Choices, pictures: str) -> Share:
    """Answer the pictures of one file; those that have been answered already are left out."""
    documents = list(handover.entries_by_document(services.store, pictures))
    results = for_many(lambda entries: answer_document(services, choices, entries), documents, THREADS)
    results = [
        set_aside(services, choices, entries, result) if isinstance(result, Exception) else result
        for entries, result in zip(documents, results, strict=True)
    ]
    return tallied(services.store, documents, results)


@task(name="report", **TOGETHER)
def report(store: Store, place: Place, totals: Sequence[str], share: Share) -> Summary:
    """Write the words of the whole batch and its failures where people find them."""
    return write_report(store, place, totals, share, wiring.settings().scratch)
