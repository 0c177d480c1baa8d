"""Tells Prefect of each picture that was counted, so that automations can have others go on from there."""

from uuid import NAMESPACE_URL, uuid5

from prefect.events import emit_event

from inktally.delivery import Delivery, Outcome

EVENT = "inktally.document.counted"
IDS = uuid5(NAMESPACE_URL, f"inktally:{EVENT}")


def announce_counted(delivery: Delivery, outcome: Outcome) -> None:
    """Emit the event of one answered delivery, with what the outcome tells but for who was mailed.

    A delivery that is answered in two goes has one id; Prefect adds which run it was.
    """
    picture = delivery.upload
    emit_event(
        event=EVENT,
        resource={"prefect.resource.id": outcome.upload, "prefect.resource.name": picture.name},
        payload={
            "upload": picture.model_dump(exclude_defaults=True),
            **outcome.model_dump(include={"etag", "cached", "words", "distinct", "mean_confidence", "outputs"}),
        },
        id=uuid5(IDS, delivery.id),
    )
