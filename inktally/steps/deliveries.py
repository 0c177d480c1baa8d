"""What is known of a delivery, and what it still needs."""

from __future__ import annotations

from inktally.delivery import Delivery, Upload
from inktally.errors import Overwritten
from inktally.ports import Store


def look(store: Store, upload: Upload) -> Delivery:
    """The delivery that stands there now. Raises `NotFound` when the picture has gone, `Overwritten` when
    another has taken its place."""
    picture = store.stat(upload.key, upload.version)
    if upload.etag and upload.etag != picture.etag:
        raise Overwritten(f"Another picture has been put in the place of {upload.key}; that one is answered instead.")
    return Delivery(upload=upload, picture=picture)
