"""Pages of pictures as a browser can show them, drawn in a sandboxed child; a few are kept in memory."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException

from inktally import keys
from inktally.delivery import Delivery, StoredObject
from inktally.errors import NotFound
from inktally.imaging.decoding import DECODERS
from inktally.ports import Store, stat_or_none
from inktally.sandbox.parent import Sandbox
from inktally.scratch import scratch_folder
from inktally.settings import Settings

AT_ONCE, MOST_WAITING = 2, 40
SECONDS = 30.0
KEPT = 40  # of some hundred kB each


class Previews:
    """Nothing is shown of a picture that has been deleted, though it is still in memory."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        scratch = settings.scratch / "inktally-previews"
        self._sandbox = Sandbox(
            AT_ONCE,
            scratch,
            ["inktally.imaging.preview", *DECODERS],
            memory=settings.recognition_memory,
            strict=settings.confinement == "strict",
        )
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._guard = threading.Lock()
        self._places, self._waiting = asyncio.Semaphore(AT_ONCE), 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Leave to draw, which few have at once. Raises `HTTPException` (503) when too many wait for it already."""
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, headers={"Retry-After": "10"})
        self._waiting += 1
        try:
            async with self._places:
                yield
        finally:
            self._waiting -= 1

    def page(self, delivery: Delivery, number: int) -> bytes:
        """WebP. Raises `NotFound` when the picture has been deleted, `PictureError` when the page cannot be drawn."""
        known = self.known(delivery, number)  # perhaps it was drawn while this one waited
        if known is not None:
            return known
        drawn = self._drawn(self._standing(delivery), number)
        with self._guard:
            self._kept[delivery.id, number] = drawn
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return drawn

    def known(self, delivery: Delivery, number: int) -> bytes | None:
        """The same, if it has been drawn before. Raises `NotFound` when the picture has been deleted."""
        self._standing(delivery)
        with self._guard:
            if (delivery.id, number) in self._kept:
                self._kept.move_to_end((delivery.id, number))
            return self._kept.get((delivery.id, number))

    def _standing(self, delivery: Delivery) -> StoredObject:
        picture = self.picture(delivery)
        if picture is None:
            raise NotFound("The picture has been deleted.")
        return picture

    def picture(self, delivery: Delivery) -> StoredObject | None:
        """This very picture where it stands now, under input/ or in the archive; None: it has been deleted."""
        standing = stat_or_none(self._store, delivery.picture.key)
        if standing is not None and standing.same_version(delivery.picture):
            return standing
        archived = stat_or_none(self._store, keys.archived(delivery.upload.name))
        return archived if archived is not None and archived.has_bytes_of(delivery.picture) else None

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
            self._sandbox.call(
                "inktally.imaging.preview:draw", arguments, seconds=SECONDS, reads=["picture"], writes=["target"]
            )
            return (folder / "page.webp").read_bytes()
