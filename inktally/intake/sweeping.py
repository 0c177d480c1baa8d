"""What stands under input/ and should have been answered by now."""

import logging
from collections.abc import Iterator

from inktally import keys, ports
from inktally.delivery import Delivery, StoredObject, Upload
from inktally.document import Value
from inktally.errors import InktallyError
from inktally.imaging.decoding.formats import is_picture
from inktally.settings import Settings
from inktally.steps import markers

logger = logging.getLogger(__name__)


class Unanswered(Value):
    """A delivery without an answer, its age in seconds, and a key that is the same while the same run may answer it."""

    upload: Upload
    age: float
    idempotency_key: str


class Sweep:
    """One look at everything under input/; memory does not grow with it."""

    def __init__(self, store: ports.Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self.looked_at = 0

    def unanswered(self) -> Iterator[Unanswered]:
        """The late ones, as they are found. A sweep that is cut short is simply made again."""
        for picture in self._store.list(keys.INPUT):
            if not is_picture(picture.key):
                continue
            self.looked_at += 1
            try:
                late = self._late(picture)
            except InktallyError as error:
                logger.warning("%s is left to the next sweep: %s", picture.key, error)
                continue
            if late is not None:
                yield late

    def _late(self, picture: StoredObject) -> Unanswered | None:
        upload = Upload(key=picture.key, store=self._store.uri, version=picture.version)
        delivery = Delivery(upload=upload, picture=picture)
        if picture.age < self._settings.sweep_grace_seconds or markers.is_answered(self._store, delivery):
            return None
        holder = ports.stat_or_none(self._store, keys.marker(delivery.id, "claim"))
        if holder is not None and holder.age <= self._settings.lease_seconds:
            return None
        attempt = int(picture.age / self._settings.sweep_again_seconds)
        key = f"{delivery.id} {attempt} {holder.etag if holder else ''}"
        return Unanswered(upload=upload, age=picture.age, idempotency_key=key)
