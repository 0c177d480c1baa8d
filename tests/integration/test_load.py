"""The load test itself, for some seconds: no door breaks when several come at once, and nothing gets lost behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load import measured

pytestmark = pytest.mark.long

SENDING = ("api: send", "page: send, and look")


def test_many_at_once_see_no_error_and_all_their_pictures_are_there(tmp_path: Path) -> None:
    figures = measured(tmp_path, users=10, seconds=5)
    assert {name: of["errors"] for name, of in figures.items()} == {
        "api: send": 0,
        "api: state": 0,
        "page: look": 0,
        "page: send, and look": 0,
        "receiver: event": 0,
    }
    assert all(of["requests"] > 0 and 0 < of["p50_ms"] <= of["p95_ms"] for of in figures.values())
    stored = list((tmp_path / "store" / "input" / "web").rglob("*.png"))
    assert len(stored) >= sum(figures[name]["requests"] for name in SENDING)
