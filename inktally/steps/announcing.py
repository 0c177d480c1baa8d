"""Mail the uploader: the counts, what is wrong with the picture, or that it takes longer. Each mail is sent once."""

import logging
from collections.abc import Callable
from typing import Any

from inktally import keys
from inktally.delivery import Delivery, Mail, Problem
from inktally.document import CountsDocument
from inktally.errors import InktallyError, NotFound, RecipientRefused
from inktally.mail import letters, links, message
from inktally.ports import Notifier, Store, stat_or_none
from inktally.settings import Settings
from inktally.steps import markers

logger = logging.getLogger(__name__)


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

    def compose(**head: Any) -> Mail:
        link = links.result_link(keys.web_upload_of(delivery.picture.key), settings)
        return letters.answer_mail(document=document, link=link, days=settings.site_link_days, **head)

    return _mail_once(store, notifier, delivery, "mailed", settings, compose)


def announce_failure(
    store: Store, notifier: Notifier, delivery: Delivery, problem: Problem, settings: Settings
) -> str | None:
    """Mail what is wrong with the picture, once; None also when its uploader cannot be reached at all."""
    try:
        return _mail_once(
            store, notifier, delivery, "mailed", settings, lambda **head: letters.failure_mail(problem=problem, **head)
        )
    except RecipientRefused as error:
        logger.warning("nobody could be told what is wrong with %s: %s", delivery.upload.key, error)
        return None


def announce_delay(store: Store, notifier: Notifier, delivery: Delivery, settings: Settings) -> str | None:
    """Mail that it takes longer, once, and never after the answer."""
    if markers.outcome_of(store, delivery) is not None or markers.is_mailed(store, delivery):
        return None
    return _mail_once(store, notifier, delivery, "delayed", settings, letters.delay_mail)


def _mail_once(
    store: Store,
    notifier: Notifier,
    delivery: Delivery,
    kind: str,
    settings: Settings,
    compose: Callable[..., Mail],
) -> str | None:
    recipient = recipient_of(store, delivery)
    if not recipient:
        return None
    marker = keys.marker(delivery.id, kind)
    if stat_or_none(store, marker) is None:
        message_id = letters.message_id(delivery.id, kind, settings.mail_from)
        try:
            mail = compose(to=recipient, sender=settings.mail_from, message_id=message_id, upload=delivery.upload)
            notifier.send(mail)
        except InktallyError as error:  # mail servers like to repeat the address, and errors end up in logs
            raise type(error)(message.without_address(str(error), recipient)) from None
        markers.mark(store, marker, message_id.encode())
    return recipient
