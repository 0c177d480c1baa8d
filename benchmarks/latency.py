"""From PUT to mail: python -m benchmarks.latency [--json].

A whole stack is started: Ceph (else moto), Prefect, the receiver, a worker, Spark Connect and a mail server. Pictures
are put one after the other, new ones and then the same again under other names; then many new ones at once. Beside it
stands what the command `tesseract` needs for the very same files, in the same run: alone, and run by `xargs -P`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.pages import page, seconds_of_tesseract, seconds_of_xargs
from tests.support.machine import server_environment
from tests.support.stack import Put, Stack, new_stack, own_servers

PATIENCE = 60.0
"""Seconds after which a single picture counts as lost; a burst has as many again for each 20 pictures."""
WARMING = 2
"""Pictures that are answered before anything is measured."""

Figures = dict[str, float | int | None]


@dataclass(frozen=True)
class Sizes:
    """How many pictures: put one by one, and at once."""

    single: int
    burst: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description="From PUT to mail, in seconds.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.add_argument("--single", type=int, default=8, help="pictures that are put one after the other (8)")
    parser.add_argument("--burst", type=int, default=500, help="pictures that are put at once (500)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inktally-latency-", ignore_cleanup_errors=True) as folder:
        figures = measured(Path(folder), Sizes(asked.single, asked.burst))
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else shown(figures))
    return int(figures["burst"]["answered"] != asked.burst)


def measured(folder: Path, sizes: Sizes) -> dict[str, Figures]:
    """All figures, on a stack that lives in `folder`."""
    pages = [page(folder / "pages" / f"{number}.png", number) for number in range(WARMING + sizes.single + sizes.burst)]
    warming, single, burst = pages[:WARMING], pages[WARMING : WARMING + sizes.single], pages[-sizes.burst :]
    with (
        server_environment(),
        own_servers(folder / "servers") as (s3, spark),
        new_stack(folder / "stack", s3, spark.address, tesseract="") as stack,
    ):
        stack.connect()
        one_by_one(stack, warming, "warming")
        alone = [seconds_of_tesseract(each) for each in single]
        new = one_by_one(stack, single, "new")
        again = one_by_one(stack, single, "again")
        return {
            "new": {**_percentiles(new), "p50_minus_tesseract": round(median(new) - median(alone), 3)},
            "duplicate": _percentiles(again),
            "burst": at_once(stack, burst),
        }


def one_by_one(stack: Stack, pages: list[Path], name: str) -> list[float]:
    """Seconds from PUT to mail of each, the next being put when the last has been answered."""
    found = []
    for each in pages:
        put = stack.upload(f"{name}-{each.stem}", each.read_bytes())
        stack.wait_for_mails([put], PATIENCE)
        found.append(stack.mailbox.moments().get(put.to, float("inf")) - put.moment)
        time.sleep(1)  # low load: the last run's process has ended
    return found


def at_once(stack: Stack, pages: list[Path]) -> Figures:
    """How many were answered, in how many seconds from the first PUT; and as much for `xargs -P`, as a ratio."""
    peer = seconds_of_xargs(pages)
    puts: list[Put] = [stack.upload(f"burst-{each.stem}", each.read_bytes()) for each in pages]
    stack.wait_for_mails(puts, PATIENCE * (1 + len(pages) / 20))
    moments = stack.mailbox.moments()
    answered = [moments[put.to] for put in puts if put.to in moments]
    seconds = max(answered, default=float("inf")) - puts[0].moment
    ratio = (len(answered) / seconds) / (len(pages) / peer)
    return {
        "uploads": len(pages),
        "answered": len(answered),
        "seconds": round(seconds, 1),
        "throughput_ratio": round(ratio, 3),
    }


def shown(figures: dict[str, Figures]) -> str:
    rows = [f"{name:10} " + "  ".join(f"{key} {value}" for key, value in of.items()) for name, of in figures.items()]
    return "\n".join([*rows, f"load average {os.getloadavg()[0]:.1f}"]) + "\n"


def _percentiles(seconds: list[float]) -> Figures:
    """Of at least two."""
    return {
        "p50": round(median(seconds), 3),
        "p95": round(quantiles(seconds, n=20, method="inclusive")[-1], 3),
    }


if __name__ == "__main__":
    sys.exit(main())
