"""Pages of pictures as a browser can show them, drawn in a sandboxed child; a few are kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from inktally import keys
from inktally.document import Delivery, StoredObject
from inktally.errors import NotFound
from inktally.ports import Store
from inktally.sandbox import Sandbox
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from inktally.steps import stat_or_none

AT_ONCE = 2
SECONDS = 30.0
KEPT = 40  # of some hundred kB each


class Previews:
    """Nothing is shown of a picture that has been deleted, though it is still in memory."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        scratch = settings.scratch / "inktally-previews"
        self._sandbox = Sandbox(
            AT_ONCE, scratch, ["inktally.imaging.preview"], memory=settings.recognition_memory, requests=50
        )
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._guard = threading.Lock()

    def page(self, delivery: Delivery, number: int) -> bytes:
        """WebP. Raises `NotFound` when the picture has been deleted, `PictureError` when the page cannot be drawn."""
        picture = self.picture(delivery)
        if picture is None:
            raise NotFound("The picture has been deleted.")
        name = delivery.id, number
        with self._guard:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        drawn = self._drawn(picture, number)
        with self._guard:
            self._kept[name] = drawn
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return drawn

    def picture(self, delivery: Delivery) -> StoredObject | None:
        """This very picture where it stands now, under input/ or in the archive; None: it has been deleted."""
        standing = stat_or_none(self._store, delivery.picture.key)
        if standing is not None and standing.same_version(delivery.picture):
            return standing
        archived = stat_or_none(self._store, keys.archived(delivery.upload.name))
        return archived if archived is not None and archived.etag == delivery.picture.etag else None

    def _drawn(self, picture: StoredObject, number: int) -> bytes:
        self._settings.scratch.mkdir(parents=True, exist_ok=True)
        with scratch_folder(self._settings.scratch) as folder:
            self._store.download(picture, folder / "picture")
            arguments = {
                "picture": str(folder / "picture"),
                "target": str(folder / "page.webp"),
                "number": number,
                "max_pixels": self._settings.max_pixels,
                "max_pages": self._settings.max_pages,
            }
            self._sandbox.call("inktally.imaging.preview:draw", arguments, seconds=SECONDS)
            return (folder / "page.webp").read_bytes()
