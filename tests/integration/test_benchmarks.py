"""The short forms of the benchmarks of batches: whether they work, and read the same words; not how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import memory, throughput
from tests.e2e.machine import server_environment

ALIKE = 0.002  # F1


@pytest.mark.timeout(300)
def test_a_batch_reads_the_same_words_as_the_command_tesseract(tmp_path: Path) -> None:
    with server_environment():
        figures = throughput.measured(tmp_path, throughput.SHORT)

    assert figures["f1"] >= figures["f1_of_tesseract"] - ALIKE
    for name in ("ratio_to_tesseract", "ratio_to_ocrmypdf", "ratio_to_naive_prefect", "duplicates_speedup"):
        assert figures[name] > 0


@pytest.mark.timeout(300)
def test_the_memory_of_a_batch_is_seen(tmp_path: Path) -> None:
    with server_environment():
        figures = memory.measured(tmp_path, 4)

    assert 50 < figures["peak_mb"] < 400
    assert figures["peak_mb_of_others"] > 0
