"""Pictures of a batch for its tests, by number: as they are listed, and as they are handed to the count."""

from __future__ import annotations

from inktally import keys
from inktally.batch.handover import Entry
from inktally.delivery import Counting, Delivery, Receipt, StoredObject, Upload
from inktally.document import Recognition, WordCounts
from inktally.ports import Store
from tests.support.readings import a_recognition

READ_BY = a_recognition([]).engine


def a_picture(number: int, etag: str = "") -> StoredObject:
    etag = etag or f"{number:032x}"
    return StoredObject(key=f"input/{number}.png", etag=etag, size=7, modified="2026-11-20T10:00:00Z")


def a_delivery(picture: StoredObject) -> Delivery:
    return Delivery(upload=Upload(key=picture.key), picture=picture)


def a_receipt(content: int, made_for: str = "") -> Receipt:
    sha256, fingerprint = f"{content:064x}", READ_BY.fingerprint
    artefact = keys.recognition(sha256, fingerprint)
    return Receipt(
        content=sha256, fingerprint=fingerprint, artefact=artefact, words=2, pages=1, seconds=2.0, made_for=made_for
    )


def an_entry(number: int, content: int | None = None) -> Entry:
    """Of a picture whose recognition was made for it, unless it shows the content of another number."""
    delivery = a_delivery(a_picture(number))
    return Entry(delivery=delivery, receipt=a_receipt(content or number, "" if content else delivery.id))


def keep_recognition(store: Store, receipt: Receipt, recognition: Recognition, counts: WordCounts) -> None:
    """As recognising and counting leave them."""
    store.put(receipt.artefact, recognition.model_dump_json().encode())
    store.put(keys.counts(receipt.content, receipt.fingerprint, Counting()), counts.model_dump_json().encode())
