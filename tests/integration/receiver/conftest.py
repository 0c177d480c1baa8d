"""A receiver of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receivers import Running, running_receiver, settings_for


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Running]:
    with running_receiver(settings_for(tmp_path)) as running:
        yield running
