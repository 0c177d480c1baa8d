"""The steps of one delivery, over the ports. Each may be repeated at will: what is done is found, not redone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inktally import keys, mails, report
from inktally.document import (
    After,
    Counting,
    CountsDocument,
    Delivery,
    Engine,
    Outcome,
    OutputName,
    Problem,
    Receipt,
    Recognition,
    StoredObject,
    Upload,
    WordCounts,
)
from inktally.errors import (
    BadResult,
    EmptyPicture,
    InktallyError,
    NotFound,
    Overwritten,
    RecipientRefused,
    StoreDown,
    TooLarge,
    UnsafeDelete,
)
from inktally.lease import leased
from inktally.outputs.catalogue import OUTPUTS
from inktally.outputs.layout import Reading
from inktally.ports import Counter, Notifier, PdfWriter, Recogniser, Store
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from inktally.signing import result_link
from inktally.tokens import counted_tokens

logger = logging.getLogger(__name__)

PATIENCE_SECONDS, SHORTEST_PAUSE, LONGEST_PAUSE = 60.0, 0.1, 2.0


def look(store: Store, upload: Upload) -> Delivery:
    """The delivery that stands there now. Raises `NotFound` when the picture has gone, `Overwritten` when
    another has taken its place."""
    picture = store.stat(upload.key, upload.version)
    if upload.etag and upload.etag != picture.etag:
        raise Overwritten(f"Another picture has been put in the place of {upload.key}; that one is answered instead.")
    return Delivery(upload=upload, picture=picture)


def answer_of(store: Store, delivery: Delivery) -> Outcome | None:
    """How this delivery was answered; None when it has not been. Of a marker that cannot be read: only that it was."""
    try:
        return Outcome.model_validate_json(store.read(keys.marker(delivery.id, "answered")), extra="ignore")
    except NotFound:
        return None
    except ValidationError:
        return Outcome(upload=store.address(delivery.picture.key), etag=delivery.picture.etag)


def is_answered(store: Store, delivery: Delivery) -> bool:
    return _exists(store, keys.marker(delivery.id, "answered"))


def is_mailed(store: Store, delivery: Delivery) -> bool:
    """Whether somebody has been told how it ended, by the run or later."""
    return _exists(store, keys.marker(delivery.id, "mailed"))


def is_at_work(store: Store, delivery: Delivery, settings: Settings) -> bool:
    """Whether a living run has claimed this delivery."""
    claim = stat_or_none(store, keys.marker(delivery.id, "claim"))
    return claim is not None and claim.age <= settings.lease_seconds


def recognise(
    store: Store,
    recogniser: Recogniser,
    delivery: Delivery,
    engine: Engine,
    settings: Settings,
    *,
    refresh: bool,
    when_new: Callable[[], None] = lambda: None,
) -> Receipt:
    """Read the words of a picture, unless the same bytes have been read by the same engine before.

    Whoever reads holds the lease on the content, so that the same bytes under two names are read once. `when_new` is
    called before anything is read.
    """
    check_size(delivery.picture.size, settings)
    with scratch_folder(settings.scratch) as folder:
        picture = folder / "picture"
        content = store.download(delivery.picture, picture)
        key = keys.recognition(content, engine.fingerprint)
        with leased(store, keys.lock(key), ttl=settings.lease_seconds):
            recognition = None if refresh else _recognition_or_none(store, key)
            made_for = "" if recognition else delivery.id
            begun = time.monotonic()
            if recognition is None:
                when_new()
                recognition = recogniser.recognise(picture, engine)
                _patiently(_keep, store, content, engine.fingerprint, recognition)
            else:  # whoever clears the cache leaves alone what has just been written
                store.put(key, recognition.model_dump_json().encode())
    return Receipt(
        content=content,
        fingerprint=engine.fingerprint,
        artefact=key,
        words=len(recognition.words),
        pages=len(recognition.pages),
        seconds=round(time.monotonic() - begun, 3),
        made_for=made_for,
    )


def check_size(size: int, settings: Settings) -> None:
    """Of a picture in bytes. Raises `EmptyPicture`, `TooLarge`."""
    if size == 0:
        raise EmptyPicture("The file is empty; send it again, the upload was probably cut off.")
    if size > settings.max_bytes:
        raise TooLarge(
            f"The file has {size:,} bytes and at most {settings.max_bytes:,} are read; scan at 300 dpi, or send parts."
        )


def recognition_of(store: Store, receipt: Receipt) -> Recognition:
    """Raises `NotFound` when the artefact has gone, `BadResult` when it is not what we write."""
    try:
        return Recognition.model_validate_json(store.read(receipt.artefact))
    except ValidationError as error:
        raise BadResult(f"{receipt.artefact} is no recognition; recognise the picture again with --refresh.") from error


def _recognition_or_none(store: Store, key: str) -> Recognition | None:
    try:
        return Recognition.model_validate_json(store.read(key))
    except (NotFound, ValidationError):
        return None


def _keep(store: Store, content: str, fingerprint: str, recognition: Recognition) -> None:
    """Put a recognition in the place of an earlier one, whose counts go first."""
    for counted_before in store.list(keys.all_counts(content, fingerprint)):
        store.remove(counted_before.key)
    store.put(keys.recognition(content, fingerprint), recognition.model_dump_json().encode())


def count(store: Store, counter: Counter, receipts: Iterable[Receipt], counting: Counting) -> None:
    """Count the words of those recognitions that have no counts yet, all in one job."""
    missing = {receipt.artefact: receipt for receipt in receipts if counts_of(store, receipt, counting) is None}
    if not missing:
        return
    documents = {
        artefact: counted_tokens(recognition_of(store, receipt), counting) for artefact, receipt in missing.items()
    }
    for artefact, counts in counter.count(documents).items():
        receipt = missing[artefact]
        keep_counts(store, receipt.content, receipt.fingerprint, counting, counts)


def keep_counts(store: Store, content: str, fingerprint: str, counting: Counting, counts: WordCounts) -> None:
    """Keep the counts of a recognition with it, where the next picture with its content finds them."""
    store.put(keys.counts(content, fingerprint, counting), counts.model_dump_json().encode())


def counts_of(store: Store, receipt: Receipt, counting: Counting) -> WordCounts | None:
    """The counts of a recognition, None when it has not been counted in this way."""
    try:
        return WordCounts.model_validate_json(store.read(_counts_key(receipt, counting)))
    except (NotFound, ValidationError):
        return None


def _counts_key(receipt: Receipt, counting: Counting) -> str:
    return keys.counts(receipt.content, receipt.fingerprint, counting)


def counts_document(
    store: Store, delivery: Delivery, engine: Engine, receipt: Receipt, counting: Counting
) -> CountsDocument:
    """The counts as the uploader gets them. Raises `NotFound` when they have gone."""
    counts = counts_of(store, receipt, counting)
    if counts is None:
        raise NotFound(f"The counts of {delivery.upload.key} have gone; run it again.")
    return report.counts_document(
        source=store.address(delivery.picture.key),
        picture=delivery.picture,
        engine=engine,
        pages=receipt.pages,
        counting=counting,
        counts=counts,
    )


def counts_for(store: Store, delivery: Delivery, counts: CountsDocument) -> CountsDocument:
    """The counts of one picture as those of another with the same content."""
    picture = delivery.picture
    source = {"source": store.address(picture.key), "etag": picture.etag, "version": picture.version}
    return counts.model_copy(update=source)


def reading_of(store: Store, delivery: Delivery, receipt: Receipt, counting: Counting) -> Reading:
    """What the outputs of a counted picture are made of. Raises `NotFound` when any of it has gone."""
    recognition = recognition_of(store, receipt)
    tokens = counted_tokens(recognition, counting)
    return Reading(recognition, tokens, counts_document(store, delivery, recognition.engine, receipt, counting))


def publish(
    store: Store,
    delivery: Delivery,
    reading: Reading,
    outputs: Iterable[OutputName],
    pdf_writer: PdfWriter,
    settings: Settings,
) -> dict[str, str]:
    """Write the outputs; their names and addresses.

    Nothing is written for a picture that a newer one has replaced: its outputs have the same names.
    """
    with ExitStack() as stack:
        contents: dict[str, bytes | Path] = {}
        for output in outputs:
            write = OUTPUTS[output].write
            if write:
                contents[output] = write(reading)
                continue
            folder = stack.enter_context(scratch_folder(settings.scratch))
            try:
                contents[output] = _pdf(store, delivery, reading.recognition, pdf_writer, folder)
            except (NotFound, Overwritten) as error:
                logger.warning("no PDF can be made of %s any more: %s", delivery.upload.key, error)
                return {}
        if _replaced(store, delivery):
            logger.warning("%s has been replaced; its outputs are left to the newer picture", delivery.upload.key)
            return {}
        return {output: _put(store, delivery, output, content) for output, content in contents.items()}


def _pdf(store: Store, delivery: Delivery, recognition: Recognition, pdf_writer: PdfWriter, folder: Path) -> Path:
    """The picture is needed once more, and where it was known already for the first time."""
    picture, target = folder / "picture", folder / "searchable.pdf"
    store.download(delivery.picture, picture)
    pdf_writer.write(picture, recognition, target)
    return target


def _put(store: Store, delivery: Delivery, output: str, content: bytes | Path) -> str:
    key = OUTPUTS[output].key(delivery.upload.name)
    store.put(key, content)
    return store.address(key)


def _replaced(store: Store, delivery: Delivery) -> bool:
    try:
        return not store.stat(delivery.picture.key).same_version(delivery.picture)
    except NotFound:
        return False


def set_recipient(store: Store, delivery: Delivery, address: str) -> None:
    """Have this delivery answered to another address than its object's."""
    store.put(keys.marker(delivery.id, "recipient"), address.encode())


def recipient_of(store: Store, delivery: Delivery) -> str:
    """Who is to be told: the address set for this delivery, else the object's; empty: nobody."""
    try:
        return store.read(keys.marker(delivery.id, "recipient")).decode()
    except NotFound:
        return delivery.picture.metadata.get("email", "")


def announce_counts(
    store: Store, notifier: Notifier, delivery: Delivery, document: CountsDocument, settings: Settings
) -> str | None:
    """Mail the counts, once; the recipient, or None when there is nobody to tell."""

    def compose(**head: Any) -> EmailMessage:
        link = result_link(keys.web_upload_of(delivery.picture.key), settings)
        return report.answer_mail(document=document, link=link, days=settings.site_link_days, **head)

    return _mail_once(store, notifier, delivery, "mailed", settings, compose)


def announce_failure(
    store: Store, notifier: Notifier, delivery: Delivery, problem: Problem, settings: Settings
) -> str | None:
    """Mail what is wrong with the picture, once; None also when its uploader cannot be reached at all."""
    try:
        return _mail_once(
            store, notifier, delivery, "mailed", settings, lambda **head: report.failure_mail(problem=problem, **head)
        )
    except RecipientRefused as error:
        logger.warning("nobody could be told what is wrong with %s: %s", delivery.upload.key, error)
        return None


def announce_delay(store: Store, notifier: Notifier, delivery: Delivery, settings: Settings) -> str | None:
    """Mail that it takes longer, once, and never after the answer."""
    if answer_of(store, delivery) is not None or is_mailed(store, delivery):
        return None
    return _mail_once(store, notifier, delivery, "delayed", settings, report.delay_mail)


def _mail_once(
    store: Store,
    notifier: Notifier,
    delivery: Delivery,
    kind: str,
    settings: Settings,
    compose: Callable[..., EmailMessage],
) -> str | None:
    recipient = recipient_of(store, delivery)
    if not recipient:
        return None
    marker = keys.marker(delivery.id, kind)
    if not _exists(store, marker):
        message_id = report.message_id(delivery.id, kind, settings.mail_from)
        try:
            mail = compose(to=recipient, sender=settings.mail_from, message_id=message_id, upload=delivery.upload)
            notifier.send(mail)
        except InktallyError as error:  # mail servers like to repeat the address, and errors end up in logs
            raise type(error)(mails.without_address(str(error), recipient)) from None
        _mark(store, marker, message_id.encode())
    return recipient


def dispose(store: Store, delivery: Delivery, outputs: Mapping[str, str], after: After, settings: Settings) -> None:
    """Archive or delete this very version of the picture, once all that was made of it is there.

    Where the store cannot delete one very version, the picture is kept, and a warning says so.
    """
    if after == "keep" or not outputs:
        return
    for output in outputs:
        store.stat(OUTPUTS[output].key(delivery.upload.name))
    if after == "archive":
        key = _free_key(store, keys.archived(delivery.upload.name), delivery)
        _move(store, delivery, key, storage_class=settings.archive_class)
    else:
        _delete(store, delivery)


def reject(store: Store, delivery: Delivery, problem: Problem) -> None:
    """Move a picture that cannot be read to failed/, with its reason as JSON beside it."""
    key = _free_key(store, keys.failed(delivery.upload.name), delivery)
    source = store.address(delivery.picture.key)
    store.put(key + keys.REASON, report.failure_reason(source=source, picture=delivery.picture, problem=problem))
    _move(store, delivery, key)


def _free_key(store: Store, key: str, delivery: Delivery) -> str:
    """`key`, or one beside it where another picture stands."""
    standing = stat_or_none(store, key)
    return key if standing is None or standing.etag == delivery.picture.etag else keys.beside(key, delivery.id)


def _move(store: Store, delivery: Delivery, key: str, *, storage_class: str = "") -> None:
    try:
        store.copy(delivery.picture, key, storage_class=storage_class)
    except (NotFound, Overwritten) as error:
        logger.warning("%s is no longer there to be moved: %s", delivery.upload.key, error)
        return
    _delete(store, delivery)


def _delete(store: Store, delivery: Delivery) -> None:
    """Delete this very version, if it stands under input/: what stands elsewhere was not put there for us."""
    if not delivery.picture.key.startswith(keys.INPUT):
        return
    try:
        store.delete(delivery.picture)
    except (Overwritten, UnsafeDelete) as error:
        logger.warning("%s is kept: %s", delivery.upload.key, error)


def answer(store: Store, delivery: Delivery, outcome: Outcome) -> None:
    """Write down that this delivery is done."""
    _mark(store, keys.marker(delivery.id, "answered"), outcome.model_dump_json().encode())


def _mark(store: Store, marker: str, content: bytes) -> None:
    try:
        _patiently(store.put, marker, content, if_absent=True)
    except Overwritten:
        logger.info("%s stands already", marker)


def _patiently(write: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Write down what was dear, or cannot be undone, and so must not be done again: try for a minute."""
    give_up, pause = time.monotonic() + PATIENCE_SECONDS, SHORTEST_PAUSE
    while True:
        try:
            write(*arguments, **options)
        except StoreDown:
            if time.monotonic() > give_up:
                raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            return


def _exists(store: Store, key: str) -> bool:
    return stat_or_none(store, key) is not None


def stat_or_none(store: Store, key: str) -> StoredObject | None:
    """What stands under the key, if anything does."""
    try:
        return store.stat(key)
    except NotFound:
        return None
