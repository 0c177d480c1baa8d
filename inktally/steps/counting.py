"""Count the words of recognitions, and keep the counts with them."""

from collections.abc import Iterable, Iterator

from inktally import keys
from inktally.delivery import Counting, Delivery, Receipt
from inktally.document import CountsDocument, Engine, WordCounts
from inktally.errors import NotFound
from inktally.outputs import word_counts
from inktally.outputs.shared.layout import Reading
from inktally.ports import Counter, Store, value_or_none
from inktally.steps.recognising import recognition_of
from inktally.tokens import counted_tokens

MOST_WORDS = 250_000  # that are counted in one job: some 100 MB of tokens


def count(store: Store, counter: Counter, receipts: Iterable[Receipt], counting: Counting) -> None:
    """Count the words of those recognitions that have no counts yet, so many words in one job."""
    missing = {receipt.artefact: receipt for receipt in receipts if counts_of(store, receipt, counting) is None}
    for together in _few_words(missing.values()):
        documents = {receipt.artefact: counted_tokens(recognition_of(store, receipt), counting) for receipt in together}
        for artefact, counts in counter.count(documents).items():
            receipt = missing[artefact]
            keep_counts(store, receipt.content, receipt.fingerprint, counting, counts)


def _few_words(receipts: Iterable[Receipt]) -> Iterator[list[Receipt]]:
    """Receipts of at most `MOST_WORDS` words together, or of one picture."""
    together: list[Receipt] = []
    for receipt in receipts:
        if together and sum(each.words for each in together) + receipt.words > MOST_WORDS:
            yield together
            together = []
        together.append(receipt)
    if together:
        yield together


def keep_counts(store: Store, content: str, fingerprint: str, counting: Counting, counts: WordCounts) -> None:
    """Keep the counts of a recognition with it, where the next picture with its content finds them."""
    store.put(keys.counts(content, fingerprint, counting), counts.model_dump_json().encode())


def counts_of(store: Store, receipt: Receipt, counting: Counting) -> WordCounts | None:
    """The counts of a recognition, None when it has not been counted in this way."""
    return value_or_none(store, keys.counts(receipt.content, receipt.fingerprint, counting), WordCounts)


def source_of(store: Store, delivery: Delivery) -> str:
    """Where the picture is, as results say it. Of one that came over the web its key: strangers get its results."""
    key = delivery.picture.key
    return key if keys.web_upload_of(key) else store.address(key)


def counts_document(
    store: Store, delivery: Delivery, engine: Engine, receipt: Receipt, counting: Counting
) -> CountsDocument:
    """The counts as the uploader gets them. Raises `NotFound` when they have gone."""
    counts = counts_of(store, receipt, counting)
    if counts is None:
        raise NotFound(f"The counts of {delivery.upload.key} have gone; run it again.")
    return word_counts.counts_document(
        source=source_of(store, delivery),
        picture=delivery.picture,
        engine=engine,
        pages=receipt.pages,
        counting=counting,
        counts=counts,
        warnings=receipt.warnings,
    )


def counts_for(store: Store, delivery: Delivery, counts: CountsDocument) -> CountsDocument:
    """The counts of one picture as those of another with the same content."""
    picture = delivery.picture
    source = {"source": source_of(store, delivery), "etag": picture.etag, "version": picture.version}
    return counts.model_copy(update=source)


def reading_of(store: Store, delivery: Delivery, receipt: Receipt, counting: Counting) -> Reading:
    """What the outputs of a counted picture are made of. Raises `NotFound` when any of it has gone."""
    recognition = recognition_of(store, receipt)
    tokens = counted_tokens(recognition, counting)
    return Reading(recognition, tokens, counts_document(store, delivery, recognition.engine, receipt, counting))
