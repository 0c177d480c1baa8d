"""Seconds and memory to count words, beside peers: python -m benchmarks.counting [--json] [--plot FILE].

Files of 1, 10 and 100 million tokens are counted by the product's Spark counter (in this process, all cores, as it is
set up for big jobs), DuckDB, pandas and plain Python, each in a process of its own, one after the other; all must
write the same counts and totals. Then a cluster counts with one executor of one core, and with two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.count_systems import SYSTEMS
from benchmarks.counting_plot import seconds_svg
from benchmarks.tokens import make_tokens
from tests.support.clusters import running_cluster

MEGABYTE = 1024 * 1024
EVERY = 0.1  # seconds
TENS = 10_000_000, 100_000_000
MOST_IN_MEMORY = {"pandas": 20_000_000, "python": 20_000_000}
"""Tokens: these hold all of them, or all counts, as objects (some 250 bytes a token), and 100 million need 25 GB."""
DIGEST = """
SELECT count(*), sum(count)::BIGINT, sum(confidence)::BIGINT, bit_xor(hash(document, word, count, confidence)),
    sum(hash(document, word, count, confidence))::VARCHAR
FROM '{folder}/counts/*.parquet'"""
"""Of counts, whatever the order of documents."""


@dataclass(frozen=True)
class Sizes:
    """Tokens: for all systems, for the cluster (0: none), and for the batch that Spark counts before it is measured."""

    tokens: tuple[int, ...]
    executors: int
    first: int


WHOLE = Sizes((1_000_000, *TENS), executors=20_000_000, first=1_000_000)
SHORT = Sizes((20_000, 100_000), executors=0, first=5_000)


@dataclass(frozen=True)
class Measured:
    """Of one count: seconds to get ready and to count, and the most memory of the process and its children (MB)."""

    start_seconds: float
    seconds: float
    peak_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counting", description="Seconds to count words.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.add_argument("--short", action="store_true", help="few tokens, no cluster: whether it works")
    parser.add_argument("--tokens", type=_numbers, help=f"sizes to be counted ({','.join(map(str, WHOLE.tokens))})")
    parser.add_argument("--executors", type=int, help=f"tokens for the cluster, 0: none ({WHOLE.executors})")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which of %(default)s")
    parser.add_argument("--all", action="store_true", help="pandas and Python at any size, if memory lasts")
    parser.add_argument("--plot", type=Path, help="draw the seconds into this SVG file")
    asked = parser.parse_args()
    sizes = SHORT if asked.short else WHOLE
    executors = sizes.executors if asked.executors is None else asked.executors
    sizes = Sizes(asked.tokens or sizes.tokens, executors, sizes.first)
    limits = {} if asked.all else MOST_IN_MEMORY
    with tempfile.TemporaryDirectory(prefix="inktally-counting-", ignore_cleanup_errors=True) as folder:
        figures = measured(Path(folder), sizes, asked.systems.split(","), limits)
    if asked.plot:
        asked.plot.write_bytes(seconds_svg(figures["seconds"]))
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else shown(figures))
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(number) for number in text.split(",")))


def measured(
    folder: Path, sizes: Sizes, systems: Sequence[str] = tuple(SYSTEMS), limits: dict[str, int] = MOST_IN_MEMORY
) -> dict[str, Any]:
    """All figures; what is made for them lies in `folder`. Raises `AssertionError` where results differ."""
    first = make_tokens(folder / "first", sizes.first)
    by_size: dict[int, dict[str, Measured]] = {}
    for tokens in sizes.tokens:
        made = make_tokens(folder / str(tokens), tokens)
        fitting = [system for system in systems if tokens <= limits.get(system, tokens)]
        by_size[tokens] = {system: counted(system, made, system, first) for system in fitting}
        assert_equal(made, fitting)
        shutil.rmtree(made)
    figures = _figures(by_size)
    figures["left_out"] = {name: f"above {most:,} tokens: memory" for name, most in limits.items() if name in systems}
    figures["two_executors_over_one"] = two_executors_over_one(folder / "cluster", first, sizes, figures)
    return figures


def _figures(by_size: dict[int, dict[str, Measured]]) -> dict[str, Any]:
    ours = {tokens: by_system["inktally"].seconds for tokens, by_system in by_size.items() if "inktally" in by_system}
    growth = {(large, small): ours[large] / ours[small] * small / large for small, large in pairwise(ours)}
    return {
        "growth_100m_over_10m": round(growth[TENS[::-1]], 3) if TENS[::-1] in growth else None,
        "growth": {str(large): round(ratio, 3) for (large, _), ratio in growth.items()},
        **{
            name: {str(size): {of: getattr(each, name) for of, each in all_.items()} for size, all_ in by_size.items()}
            for name in ("seconds", "start_seconds", "peak_mb")
        },
    }


def counted(system: str, folder: Path, into: str, first: Path, **environment: str) -> Measured:
    """By a process of its own, whose children count for its memory too."""
    command = [sys.executable, "-m", "benchmarks.count_systems", system, str(folder), into, str(first)]
    started = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    peak = 0
    while True:
        try:
            told, _ = started.communicate(timeout=EVERY)
            break
        except subprocess.TimeoutExpired:
            peak = max(peak, _resident(started.pid))
    if started.returncode:
        raise RuntimeError(f"{system} did not count {folder.name} tokens: status {started.returncode}")
    found = Measured(**json.loads(told), peak_mb=round(peak / MEGABYTE))
    sys.stderr.write(f"{folder.name} tokens by {into}: {found.seconds} s, {found.peak_mb} MB\n")
    return found


def _resident(pid: int) -> int:
    """Bytes of a process and all its children."""
    try:
        first = psutil.Process(pid)
        return sum(int(each.memory_info().rss) for each in [first, *first.children(recursive=True)])
    except psutil.Error:  # one has ended meanwhile
        return 0


def assert_equal(folder: Path, systems: Sequence[str]) -> None:
    """The same counts in whatever order of documents, and the same totals in the same order."""
    import duckdb
    from pyarrow import parquet

    def results(system: str) -> tuple[Any, Any]:
        files = sorted((folder / system / "totals").glob("*.parquet"))
        totals = [parquet.read_table(file, columns=["word", "count", "documents"]).to_pydict() for file in files]
        digest = duckdb.execute(DIGEST.format(folder=folder / system)).fetchone()
        return digest, {name: [value for table in totals for value in table[name]] for name in totals[0]}

    first = results(systems[0])
    for system in systems[1:]:
        assert results(system) == first, f"{system} and {systems[0]} differ in {folder.name} tokens"


def two_executors_over_one(folder: Path, first: Path, sizes: Sizes, figures: dict[str, Any]) -> float | None:
    """How many times faster two are. Each is warm, has a core of its own, and a master and a driver beside it."""
    if not sizes.executors:
        return None
    made = make_tokens(folder / str(sizes.executors), sizes.executors)
    by_number = {}
    for number in (1, 2):
        with running_cluster(folder / f"cluster-{number}", number, pinned=True, memory="2g") as cluster:
            settings = {"INKTALLY_SPARK_MASTER": cluster.address, "SPARK_LOCAL_IP": "127.0.0.1"}
            by_number[number] = counted("inktally", made, f"by-{number}", first, **settings).seconds
    assert_equal(made, ["by-1", "by-2"])
    figures["seconds_of_executors"] = {str(number): seconds for number, seconds in by_number.items()}
    return round(by_number[1] / by_number[2], 3)


def shown(figures: dict[str, Any]) -> str:
    rows = [f"{name:24} {value}" for name, value in figures.items()]
    return "\n".join([*rows, f"load average {os.getloadavg()[0]:.1f}"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
