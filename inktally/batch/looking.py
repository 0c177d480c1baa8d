"""Which pictures of a batch are still to be processed, and by what."""

from typing import Literal

from inktally.delivery import Delivery, Options, Problem, StoredObject, Upload
from inktally.document import Value
from inktally.errors import NotFound, PictureError
from inktally.ports import Recogniser, Store
from inktally.settings import Settings
from inktally.steps import deliveries, markers
from inktally.steps.recognising import check_size

State = Literal["open", "answered", "at work", "gone"]


class Looked(Value):
    """A picture that was looked at. While it is open, its delivery has needs, or a problem."""

    picture: StoredObject
    state: State = "open"
    delivery: Delivery | None = None
    needs: deliveries.Needs | None = None
    problem: Problem | None = None


def look(
    store: Store, picture: StoredObject, options: Options, attempt: str, recogniser: Recogniser, settings: Settings
) -> Looked:
    """Look at a picture that was listed; with `attempt`, one that was processed before is open again.

    Raises what is not the picture's own fault.
    """
    try:
        delivery, outcome = deliveries.find(store, Upload(key=picture.key, store=store.uri), attempt)
    except NotFound:
        return Looked(picture=picture, state="gone")
    if outcome is not None or markers.is_at_work(store, delivery, settings):
        return Looked(picture=picture, state="answered" if outcome is not None else "at work")
    try:
        check_size(delivery.picture.size, settings)
        needs = deliveries.needs_of(delivery, options, recogniser, settings)
    except PictureError as error:
        return Looked(picture=picture, delivery=delivery, problem=Problem.of(error))
    return Looked(picture=picture, delivery=delivery, needs=needs)
