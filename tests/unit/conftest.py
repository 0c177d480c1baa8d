"""Examples take as long as they take: how long that is, the machine's other work decides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from inktally.settings import read_settings
from tests.support.desks import Desk

FEW = "30"  # while somebody waits; `make test-all` asks for many

settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("EXAMPLES", FEW)),
)
settings.load_profile("any machine")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(read_settings(scratch=tmp_path))
