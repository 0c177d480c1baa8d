"""The fuzz test in short; `make faults` runs it for a minute."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults import fuzz


def test_damaged_pictures_of_every_format_give_pages_or_blame_themselves(tmp_path: Path) -> None:
    result = fuzz.run(tmp_path, seconds=4, seed=time.time_ns() // 1_000_000)
    assert not result.bad, [*result.bad, result.verdict()]
    assert result.kinds.keys() >= {"read", "UnreadablePicture"}, result.verdict()
