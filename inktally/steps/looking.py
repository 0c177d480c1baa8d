"""Which pictures of a batch are still to be answered, and by what."""

from __future__ import annotations

from typing import Literal

from inktally.delivery import Delivery, Options, Problem, Receipt, StoredObject, Upload
from inktally.document import Engine, Value
from inktally.errors import NotFound, PictureError
from inktally.ports import Recogniser, Store
from inktally.settings import Settings
from inktally.steps import deliveries, markers, recognising
from inktally.steps.asked import engine_for

State = Literal["open", "answered", "at work", "gone"]


class Looked(Value):
    """A picture that was looked at. While it is open, it is to be read by `engine`, or is known, or has a problem."""

    picture: StoredObject
    delivery: Delivery | None = None
    engine: Engine | None = None
    receipt: Receipt | None = None
    is_cache_bad: bool = False
    problem: Problem | None = None
    state: State = "open"

    @property
    def content(self) -> tuple[str, int, str]:
        """What pictures with the same bytes, read by the same engine, have in common."""
        assert self.engine is not None
        return self.picture.etag, self.picture.size, self.engine.fingerprint


def look(
    store: Store, picture: StoredObject, options: Options, attempt: str, recogniser: Recogniser, settings: Settings
) -> Looked:
    """Look at a picture that was listed; `attempt` names a batch that answers again what has been answered.

    Raises what is not the picture's own fault.
    """
    try:
        delivery = deliveries.look(store, Upload(key=picture.key, store=store.uri, attempt=attempt))
        state = _state(store, delivery, settings)
        if state != "open":
            return Looked(picture=picture, state=state)
    except NotFound:
        return Looked(picture=picture, state="gone")
    try:
        recognising.check_size(delivery.picture.size, settings)
        return Looked(picture=picture, delivery=delivery, engine=engine_for(delivery, options, recogniser, settings))
    except PictureError as error:
        return Looked(picture=picture, delivery=delivery, problem=Problem.of(error))


def _state(store: Store, delivery: Delivery, settings: Settings) -> State:
    if markers.is_answered(store, delivery):
        return "answered"
    return "at work" if markers.is_at_work(store, delivery, settings) else "open"
