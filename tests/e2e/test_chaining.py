"""Further actors go on from the event of each counted picture."""

from __future__ import annotations

import json
from typing import Any

from tests.support.machine import Machine, draw
from tests.support.prefect_servers import PrefectServer
from tests.support.waiting import eventually


def counted(prefect: PrefectServer, resource: str) -> list[dict[str, Any]]:
    """The events of one picture that the server knows."""
    wanted = {"event": {"name": ["inktally.document.counted"]}, "resource": {"id": [resource]}}
    found: list[dict[str, Any]] = prefect.asked("/events/filter", {"filter": wanted, "limit": 10})["events"]
    return found


def test_a_run_tells_of_each_picture_it_counted_and_names_nobody(connected: Machine, prefect: PrefectServer) -> None:
    good = draw(connected.folder / "good.png", "three plain words")
    bad = connected.folder / "bad.png"
    bad.write_bytes(b"nonsense")
    run = connected.run(good, bad, "--json", "--to", "anna@example.org")
    outcome, failed = run.objects
    eventually(lambda: counted(prefect, outcome["upload"]))
    (event,) = counted(prefect, outcome["upload"])
    assert event["payload"]["words"] == 3
    assert event["payload"]["outputs"] == outcome["outputs"]
    assert event["payload"]["upload"]["key"] == "input/good.png"
    assert "anna" not in json.dumps(event)
    assert [related["prefect.resource.role"] for related in event["related"]].count("flow-run") == 1
    assert counted(prefect, failed["upload"]) == []
