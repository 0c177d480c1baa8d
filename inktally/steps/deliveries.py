"""What is known of a delivery, and what it still needs. A single upload and a picture of a batch ask the same here."""

import logging
from collections.abc import Callable

from inktally.delivery import Delivery, Options, Outcome, Receipt, Upload
from inktally.document import Engine, Value
from inktally.errors import BadResult, Overwritten
from inktally.ports import Recogniser, Store
from inktally.settings import Settings
from inktally.steps.choices import engine_for
from inktally.steps.markers import outcome_of

logger = logging.getLogger(__name__)


class Needs(Value):
    """A delivery that is to be read by `engine`, unless a receipt shows that it has been.

    `hint` is the receipt of a picture with the same ETag, which in all likelihood has the same bytes: what reads new
    pictures is not started for it. Nothing else follows from it.
    """

    delivery: Delivery
    engine: Engine
    identity: str
    receipt: Receipt | None = None
    hint: Receipt | None = None

    @property
    def content(self) -> tuple[str, int, str]:
        """What only pictures with the same bytes, read by the same engine, have in common."""
        return self.identity, self.delivery.picture.size, self.engine.fingerprint

    @property
    def likeness(self) -> tuple[str, int, str]:
        """What pictures with the same bytes, read by the same engine, have in common, and few others."""
        return self.delivery.picture.etag, self.delivery.picture.size, self.engine.fingerprint


def look(store: Store, upload: Upload) -> Delivery:
    """The delivery that is there now. Raises `NotFound` when the picture has gone, `Overwritten` when another has taken
    its place."""
    picture = store.stat(upload.key, upload.version)
    if upload.etag and upload.etag != picture.etag:
        raise Overwritten(f"Another picture has been put in the place of {upload.key}; that one is answered instead.")
    return Delivery(upload=upload, picture=picture)


def find(store: Store, upload: Upload, attempt: str = "") -> tuple[Delivery, Outcome | None]:
    """The delivery that is there now, and how it ended if it was processed before. Raises as `look` does.

    With `attempt`, one that was processed before is a new delivery of that attempt.
    """
    delivery = look(store, upload)
    outcome = outcome_of(store, delivery)
    if outcome is not None and attempt and not upload.attempt:
        anew = upload.model_copy(update={"attempt": attempt})
        delivery = delivery.model_copy(update={"upload": anew})
        outcome = outcome_of(store, delivery)
    return delivery, outcome


def needs_of(delivery: Delivery, options: Options, recogniser: Recogniser, settings: Settings) -> Needs:
    """Raises `UnknownLanguage`, a fault of the picture, `BadSettings` and `MissingTool`."""
    engine = engine_for(delivery, options, recogniser, settings)
    return Needs(delivery=delivery, engine=engine, identity=identity_of(delivery, settings))


def identity_of(delivery: Delivery, settings: Settings) -> str:
    """What tells a picture's bytes from others without a download; where there is nothing, what tells the delivery."""
    picture = delivery.picture
    return picture.sha256 or (picture.etag if settings.trust_etag else delivery.id)


def recalled(needs: Needs, cached_receipt: Callable[[Delivery, Engine], Receipt | None]) -> Needs:
    """With the receipt that is cached for a picture's ETag, if it is known to be of these bytes; else as a hint.

    One that cannot be used is logged; the picture is read, or found by its bytes.
    """
    picture = needs.delivery.picture
    try:
        receipt = cached_receipt(needs.delivery, needs.engine)
    except BadResult as error:
        logger.warning("what is cached of %s cannot be used: %s", needs.delivery.upload.name, error)
        return needs
    if receipt is None or picture.sha256 not in {"", receipt.content}:
        return needs
    is_sure = needs.identity in {picture.sha256, picture.etag}
    return needs.model_copy(update={"receipt" if is_sure else "hint": receipt})
