"""The template for Prefect Cloud's webhooks gives the event that the receiver emits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inktally.imaging.decoding.formats import PICTURE_SUFFIXES
from inktally.intake import events
from tests.support import messages
from tests.support.messages import Message

TEMPLATE = Path(__file__).parents[2] / "deployments" / "cloud_webhook.jinja"


def rendered(message: Message) -> dict[str, Any]:
    """As Prefect Cloud does it: Jinja in a sandbox, the body's JSON as `body`; the outcome is the event's JSON."""
    template = ImmutableSandboxedEnvironment().from_string(TEMPLATE.read_text())
    event: dict[str, Any] = json.loads(template.render(method="POST", headers={}, body=message))
    return event


@pytest.mark.parametrize("version", [{}, {"version-id": "v.1"}])
@pytest.mark.parametrize("key", ["input/page.png", 'input/"quoted" <b> {{ 7 * 7 }} ü+%20\n.PNG', "input/a.b/c.jpeg"])
def test_an_upload_gives_the_same_event_as_the_receiver(key: str, version: dict[str, str]) -> None:
    message = messages.eventbridge(key, **version)
    (arrival,) = events.announced(message).arrivals
    assert rendered(message) == {
        "event": "s3.object.created",
        "resource": {"prefect.resource.id": "s3://letters", "prefect.resource.name": "letters"},
        "payload": {"uploads": [arrival.upload.model_dump(exclude_defaults=True)]},
    }


@pytest.mark.parametrize(
    "key", ["output/page.png", "input/notes.txt", "input/png", "input/folder.png/notes", "input/x."]
)
def test_other_objects_start_nothing(key: str) -> None:
    assert events.announced(messages.eventbridge(key)).arrivals == ()
    assert rendered(messages.eventbridge(key))["event"] == "s3.object.ignored"


def test_other_events_start_nothing() -> None:
    assert rendered(messages.eventbridge(what="Object Deleted"))["event"] == "s3.object.ignored"


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_kind_of_picture_is_wanted(suffix: str) -> None:
    assert rendered(messages.eventbridge(f"input/page{suffix}"))["event"] == "s3.object.created"
