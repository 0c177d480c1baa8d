"""The short forms of the benchmarks: whether they work, and read and count the same words; not how fast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import counting, memory, throughput
from benchmarks.batches import benchmark_machine
from tests.support.machine import Machine, server_environment

pytestmark = pytest.mark.long

ALIKE = 0.002  # F1


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with server_environment(), benchmark_machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.mark.timeout(900)
def test_a_batch_reads_the_same_words_as_the_command_tesseract(machine: Machine, tmp_path: Path) -> None:
    figures = throughput.measured(machine, tmp_path, throughput.SHORT)

    assert figures["f1"] >= figures["f1_of_tesseract"] - ALIKE
    for name in ("ratio_to_tesseract", "ratio_to_ocrmypdf", "ratio_to_naive_prefect", "duplicates_speedup"):
        assert figures[name] > 0


@pytest.mark.timeout(900)
def test_the_memory_of_a_batch_is_seen(machine: Machine, tmp_path: Path) -> None:
    figures = memory.measured(machine, tmp_path, 4)

    assert 50 < figures["peak_mb"] < 400
    assert figures["peak_mb_of_others"] > 0


@pytest.mark.timeout(900)
def test_spark_counts_the_same_words_as_duckdb_pandas_and_python(tmp_path: Path) -> None:
    figures = counting.measured(tmp_path, counting.SHORT)  # raises where results differ

    assert list(figures["growth"]) == [str(max(counting.SHORT.tokens))]
    assert {"growth_100m_over_10m", "two_executors_over_one", "left_out"} <= figures.keys()
    for name in ("seconds", "start_seconds", "peak_mb"):
        assert list(figures[name]) == [str(tokens) for tokens in counting.SHORT.tokens]
        assert all(set(by_system) == set(counting.SYSTEMS) for by_system in figures[name].values())
    assert all(peak > 50 for by_system in figures["peak_mb"].values() for peak in by_system.values())


def test_results_that_differ_are_an_error(tmp_path: Path) -> None:
    one = counting.make_tokens(tmp_path / "one", 2_000)
    for system, folder in (("duckdb", one), ("pandas", counting.make_tokens(tmp_path / "other", 2_001))):
        assert counting.counted(system, folder, system, one).seconds >= 0
    (tmp_path / "other" / "pandas").rename(one / "pandas")

    with pytest.raises(AssertionError, match="pandas and duckdb differ"):
        counting.assert_equal(one, ["duckdb", "pandas"])
