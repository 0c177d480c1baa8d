"""Further actors go on from the event of each counted picture."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.support.machine import Machine, draw, eventually


def counted(api: str, resource: str) -> list[dict[str, Any]]:
    """The events of one picture that the server knows."""
    wanted = {"event": {"name": ["inktally.document.counted"]}, "resource": {"id": [resource]}}
    answer = httpx.post(f"{api}/events/filter", json={"filter": wanted, "limit": 10}, timeout=30)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
    return found


def test_a_run_tells_of_each_picture_it_counted_and_names_nobody(connected: Machine, prefect_server: str) -> None:
    good = draw(connected.folder / "good.png", "three plain words")
    bad = connected.folder / "bad.png"
    bad.write_bytes(b"nonsense")
    run = connected.run(good, bad, "--json", "--to", "anna@example.org")
    outcome, failed = run.objects
    eventually(lambda: counted(prefect_server, outcome["upload"]))
    (event,) = counted(prefect_server, outcome["upload"])
    assert event["payload"]["words"] == 3
    assert event["payload"]["outputs"] == outcome["outputs"]
    assert event["payload"]["upload"]["key"] == "input/good.png"
    assert "anna" not in json.dumps(event)
    assert [related["prefect.resource.role"] for related in event["related"]].count("flow-run") == 1
    assert counted(prefect_server, failed["upload"]) == []
