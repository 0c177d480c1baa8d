"""What has become of an upload over the web, told from the store alone.

A run notes down which delivery it has taken up, and at which stage it is; only for pictures below input/web/, so that
nothing becomes slower for others. How a delivery ended stands in its `answered` marker, as it does for all.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from pydantic import Field

from inktally import keys, ports
from inktally.delivery import Delivery, Outcome, Problem, StoredObject, Upload
from inktally.document import Value
from inktally.errors import Busy, InktallyError, NotFound, Overwritten, PictureError, error_named
from inktally.mail.letters import ADVICE, OUR_ADVICE
from inktally.outputs.shared.registry import OUTPUTS
from inktally.settings import Settings
from inktally.steps import markers

logger = logging.getLogger(__name__)

PROBLEM = "problem"  # the marker of a run that has failed, and will be made again
OF_NEW_BYTES = ("recognise", "count")
STAGES = ("counting", "recognising")  # markers of what a run is at, the last first

State = Literal["received", "recognising", "counting", "answered", "failed", "delayed"]
"""`delayed`: a run of ours has failed, and another will be made. `answered` and `failed` are final."""
Whereabouts = Literal["kept", "archived", "set aside", "deleted"]


class Status(Value):
    """How an upload fares. It tells no address, neither the recipient's nor one within the store."""

    id: str
    name: str = Field(description="of the picture, as it was sent")
    size: int = Field(description="of the picture, in bytes", ge=0)
    received: str = Field(description="when the store took it, ISO 8601 in UTC")
    state: State
    is_final: bool = Field(description="whether the state will stay as it is")
    seconds: dict[str, float] = Field(
        description="step -> seconds; `waiting`: until a run took it up; `total`: from the upload until now, or until "
        "it was answered"
    )
    words: int | None = Field(default=None, description="the number of counted words")
    distinct: int | None = Field(default=None, description="the number of different words")
    mean_confidence: float | None = Field(default=None, description="over all counted words, 0 to 100")
    outputs: tuple[str, ...] = Field(default=(), description="names of what has been made of it")
    notified: bool = Field(default=False, description="whether somebody has been notified by mail")
    problem: Problem | None = Field(default=None, description="what is wrong")
    advice: str = Field(default="", description="what to do about it")
    picture: Whereabouts = Field(default="kept", description="what has become of the picture itself")


def status_of(store: ports.Store, upload_id: str, settings: Settings) -> Status:
    """Raises `NotFound` when no picture has come under this id."""
    delivery = delivery_of(store, upload_id)
    outcome = markers.outcome_of(store, delivery)
    told = _final(store, delivery, outcome) if outcome else _under_way(store, delivery, upload_id, settings)
    picture = delivery.picture
    name = picture.key.removeprefix(keys.from_web(upload_id))
    facts = {"id": upload_id, "name": name, "size": picture.size, "received": picture.modified}
    return Status.model_validate(facts | told)


def delivery_of(store: ports.Store, upload_id: str) -> Delivery:
    """The delivery that a status, and results, are about. Raises `NotFound`."""
    delivery = delivery_or_none(store, upload_id)
    if delivery is None:
        raise NotFound("Nothing has come under this id; a picture that is sent by a form shows once it is there.")
    return delivery


def delivery_or_none(store: ports.Store, upload_id: str) -> Delivery | None:
    """The one taken up, else the newest that is stored; None while nothing has come."""
    if (taken_up := ports.value_or_none(store, keys.web_record(upload_id), Delivery)) is not None:
        return taken_up
    newest = max(store.list(keys.from_web(upload_id)), key=lambda each: each.modified, default=None)
    standing = newest and ports.stat_or_none(store, newest.key)
    if standing is None:
        return None
    return Delivery(upload=Upload(key=standing.key, store=store.uri, version=standing.version), picture=standing)


def output_of(store: ports.Store, delivery: Delivery, output: str) -> bytes:
    """What was written of a picture under this name. Raises `NotFound`."""
    return store.read(key_of(delivery, output))


def key_of(delivery: Delivery, output: str) -> str:
    """Where it stands. Raises `NotFound` where there is no output of this name."""
    if output not in OUTPUTS:
        raise NotFound(f"There is no output {output!r}; there are: {', '.join(OUTPUTS)}.")
    return OUTPUTS[output].key(delivery.upload.name)


def _final(store: ports.Store, delivery: Delivery, outcome: Outcome) -> dict[str, object]:
    """Of a delivery that has been answered, if only by telling what is wrong with it."""
    problem = outcome.error
    failed = problem is not None and issubclass(error_named(problem.kind), PictureError)
    answered = ports.stat_or_none(store, keys.marker(delivery.id, "answered"))
    total = {"total": _seconds_between(delivery.picture.modified, answered.modified)} if answered else {}
    counted = {} if failed else outcome.model_dump(include={"words", "distinct", "mean_confidence"})
    return counted | {
        "state": "failed" if failed else "answered",
        "is_final": True,
        "seconds": _waited(store, delivery) | _told(outcome.seconds) | total,
        "outputs": tuple(outcome.outputs),
        "notified": outcome.notified is not None or markers.is_mailed(store, delivery),
        "problem": problem,
        "advice": ADVICE.get(problem.kind, "") if problem else "",
        "picture": _whereabouts(store, delivery),
    }


def _told(seconds: dict[str, float]) -> dict[str, float]:
    """Without the steps that are left out for bytes that were read before, which would tell that somebody sent them."""
    return {step: spent for step, spent in seconds.items() if step not in OF_NEW_BYTES}


def _waited(store: ports.Store, delivery: Delivery) -> dict[str, float]:
    """Until the run that has answered took it up."""
    record = ports.stat_or_none(store, keys.web_record(keys.web_upload_of(delivery.picture.key)))
    return {"waiting": _seconds_between(delivery.picture.modified, record.modified)} if record else {}


def _under_way(store: ports.Store, delivery: Delivery, upload_id: str, settings: Settings) -> dict[str, object]:
    record = ports.stat_or_none(store, keys.web_record(upload_id))
    begun = record.age if record else 0.0
    total = _age(store, delivery)
    seconds = {"waiting": max(0.0, total - begun) if record else total}
    state: State = "received"
    notes = {stage: _age_of_note(store, delivery, stage, record) for stage in (*STAGES, PROBLEM)} if record else {}
    if markers.is_at_work(store, delivery, settings):
        state = next((stage for stage in STAGES if notes.get(stage) is not None), state)  # type: ignore[misc]
        seconds |= _spent(notes.get("recognising"), notes.get("counting"))
    elif notes.get(PROBLEM) is not None:
        state = "delayed"
    told = _ours(store, delivery) if state == "delayed" else {}
    shown = {step: round(spent, 3) for step, spent in (seconds | {"total": total}).items()}
    return {"state": state, "is_final": False, "seconds": shown, **told}


def _spent(recognising: float | None, counting: float | None) -> dict[str, float]:
    """From how many seconds ago each step began."""
    spent = {} if recognising is None else {"recognise": recognising - (counting or 0.0)}
    return spent if counting is None else spent | {"count": counting}


def _ours(store: ports.Store, delivery: Delivery) -> dict[str, object]:
    """What a stranger learns of a service error: its kind. The rest is in the logs."""
    noted = ports.value_or_none(store, keys.marker(delivery.id, PROBLEM), Problem)
    kind = noted.kind if noted else "Unknown"
    message = "Processing failed and will be retried."
    return {"problem": Problem(kind=kind, message=message), "advice": OUR_ADVICE}


def _age_of_note(store: ports.Store, delivery: Delivery, stage: str, record: StoredObject) -> float | None:
    """Seconds since it was written; None when it was not, or by an earlier run than the one that wrote the record.

    By the store's times, which may be of whole seconds: ages are of the moments when each was asked for.
    """
    note = ports.stat_or_none(store, keys.marker(delivery.id, stage))
    if note is None or datetime.fromisoformat(note.modified) < datetime.fromisoformat(record.modified):
        return None
    return note.age


def _age(store: ports.Store, delivery: Delivery) -> float:
    standing = ports.stat_or_none(store, delivery.picture.key)
    return standing.age if standing else delivery.picture.age


def _whereabouts(store: ports.Store, delivery: Delivery) -> Whereabouts:
    standing = ports.stat_or_none(store, delivery.picture.key)
    if standing is not None and standing.same_version(delivery.picture):
        return "kept"
    name = delivery.upload.name
    places: dict[Whereabouts, str] = {"archived": keys.archived(name), "set aside": keys.failed(name)}
    return next((where for where, key in places.items() if ports.stat_or_none(store, key)), "deleted")


def _seconds_between(begun: str, ended: str) -> float:
    """Of two times as stores tell them."""
    return max(0.0, round((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds(), 3))


def take_up(store: ports.Store, delivery: Delivery, settings: Settings) -> None:
    """Note down that a run has begun with this delivery.

    Who may send a picture may send one, once, though a store may take more under its key. Another than the first is
    answered here, and nobody is mailed; it takes the place of a first that nobody has answered, or is at work on.
    Raises `Busy` while somebody is.
    """
    first = None
    if upload_id := keys.web_upload_of(delivery.picture.key):
        with _without_harm(delivery):
            first = _noted_or_first(store, delivery, upload_id, settings)
    if first is None:
        return
    if not markers.is_answered(store, first):
        raise Busy(f"Another picture has come in place of {delivery.upload.key} and is being read; it goes first.")
    refused = Overwritten("Another picture has come by the same upload before; send this one as an upload of its own.")
    address = store.address(delivery.picture.key)
    markers.mark_answered(
        store, delivery, Outcome(upload=address, etag=delivery.picture.etag, error=Problem.of(refused))
    )


def _noted_or_first(store: ports.Store, delivery: Delivery, upload_id: str, settings: Settings) -> Delivery | None:
    """Note it down; but not where another picture of this upload goes first, which is told then."""
    key, record = keys.web_record(upload_id), delivery.model_dump_json().encode()
    try:
        store.put(key, record, if_absent=True)
    except Overwritten:
        first = ports.value_or_none(store, key, Delivery)
        is_another = first is not None and not first.picture.same_version(delivery.picture)
        if first and is_another and (markers.is_answered(store, first) or markers.is_at_work(store, first, settings)):
            return first
        store.put(key, record)
    return None


def note(store: ports.Store, delivery: Delivery, stage: str, content: bytes = b"") -> None:
    """Note down that a run has reached this stage."""
    if keys.web_upload_of(delivery.picture.key):
        with _without_harm(delivery):
            store.put(keys.marker(delivery.id, stage), content)


def note_problem(store: ports.Store, delivery: Delivery, problem: Exception) -> None:
    """Note down that a run has failed by a service error."""
    note(store, delivery, PROBLEM, Problem.of(problem).model_dump_json().encode())


@contextmanager
def _without_harm(delivery: Delivery) -> Iterator[None]:
    """A status that cannot be written down never stops a picture."""
    try:
        yield
    except InktallyError as error:
        logger.warning("where %s is cannot be noted: %s", delivery.upload.key, error)
