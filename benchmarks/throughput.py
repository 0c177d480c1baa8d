"""Pages a second, beside peers: python -m benchmarks.throughput [--json].

A batch is run as its users run it, from the command's start to its end, on pages that nobody has seen before, with the
servers that `make up` keeps. The same pages are read by `xargs -P` of the command `tesseract`, and some of them by
OCRmyPDF and by a Prefect flow as people write it first. Then: a batch of which nine in ten pages are duplicates; what a
picture costs besides its recognition, in batches of 10 and of 1,000; and what a second worker is worth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import pages as rendered
from benchmarks.accuracy import f1
from benchmarks.batches import benchmark_machine, folder_of, run_batch
from benchmarks.workers import two_cores_over_one, two_workers_over_one
from inktally import plugins
from inktally.settings import read_settings
from tests.support.machine import Machine, draw

DUPLICATES = 10
"""Copies of each page in the batch of duplicates: nine in ten are."""
OCRMYPDF = (
    str(Path(sys.executable).with_name("ocrmypdf")),
    "--jobs",
    "1",
    "--output-type",
    "pdf",
    "--quiet",
    "-l",
    "eng",
    "{}",
    "{}.pdf",
)


@dataclass(frozen=True)
class Sizes:
    """How many pages: of the batch, for slow peers, for the workers; and how many small pictures in each of several
    batches."""

    pages: int
    peers: int
    workers: int
    small: tuple[int, ...]


WHOLE = Sizes(pages=400, peers=24, workers=120, small=(10, 100, 1000))
SHORT = Sizes(pages=10, peers=2, workers=0, small=(3,))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description="Pages a second.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.add_argument("--short", action="store_true", help="a few pages only: whether it works, not how fast it is")
    parser.add_argument("--pages", type=int, help=f"pages of the batch ({WHOLE.pages})")
    asked = parser.parse_args()
    sizes = SHORT if asked.short else WHOLE
    sizes = replace(sizes, pages=asked.pages or sizes.pages)
    with (
        tempfile.TemporaryDirectory(prefix="inktally-throughput-", ignore_cleanup_errors=True) as folder,
        benchmark_machine(Path(folder)) as machine,
    ):
        figures = measured(machine, Path(folder), sizes)
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else shown(figures))
    return 0


def measured(machine: Machine, folder: Path, sizes: Sizes) -> dict[str, Any]:
    """All figures; what is made for them lies in `folder`."""
    made = [rendered.page(folder / "made" / f"{number:05}.png", number) for number in range(sizes.pages)]
    figures = _beside_tesseract(machine, made, folder_of(made, folder / "pages"))
    speed = figures["pages_a_second"]["inktally"]
    for name, seconds in _slow_peers(machine, made[: sizes.peers], folder).items():
        figures["pages_a_second"][name] = round(sizes.peers / seconds, 3)
        figures[f"ratio_to_{name}"] = round(speed / (sizes.peers / seconds), 3)
    figures |= _duplicates(machine, made, folder, figures.pop("seconds"))
    figures["ms_besides_recognition"] = {
        str(number): _ms_besides_recognition(machine, number, folder) for number in sizes.small
    }
    if sizes.workers:
        shared = folder_of(made[: sizes.workers], folder / "shared")
        figures["two_workers_over_one"] = two_workers_over_one(machine, shared)
        figures["two_cores_over_one"] = two_cores_over_one(made[: sizes.peers])
    return figures


def _beside_tesseract(machine: Machine, made: Sequence[Path], pages: Path) -> dict[str, Any]:
    half = len(made) // 2
    peer = rendered.seconds_of_xargs(made[:half])
    ours = run_batch(machine, pages, "new")
    peer += rendered.seconds_of_xargs(made[half:])  # half before, half after: what else the machine does strikes both
    assert ours.pictures == len(made)
    return {
        "seconds": ours.seconds,
        "pages_a_second": {"inktally": round(len(made) / ours.seconds, 3), "tesseract": round(len(made) / peer, 3)},
        "ratio_to_tesseract": round(peer / ours.seconds, 3),
        "f1": round(fmean(f1(ours.text(page), rendered.text(int(page.stem))) for page in made), 4),
        "f1_of_tesseract": round(
            fmean(f1(page.with_suffix(".png.txt").read_text(), rendered.text(int(page.stem))) for page in made), 4
        ),
    }


def _slow_peers(machine: Machine, made: Sequence[Path], folder: Path) -> dict[str, float]:
    """Their seconds, of Prefect without its start."""
    some = folder_of(made, folder / "some")
    naive = [sys.executable, "-m", "benchmarks.naive_prefect", str(some)]
    told = subprocess.run(naive, env=machine.environment, capture_output=True, text=True, check=True).stdout
    return {
        "ocrmypdf": rendered.seconds_of_xargs(sorted(some.glob("*.png")), *OCRMYPDF),
        "naive_prefect": float(told),
    }


def _duplicates(machine: Machine, made: Sequence[Path], folder: Path, seconds: float) -> dict[str, Any]:
    """How much faster as many pages are as took `seconds` when all of them were new, and where their time goes."""
    copies = folder_of(made[: len(made) // DUPLICATES], folder / "copies", DUPLICATES)
    batch = run_batch(machine, copies, "duplicates")
    assert batch.pictures == len(made) // DUPLICATES * DUPLICATES
    speedup = seconds / batch.seconds * batch.pictures / len(made)
    spent = {"all": round(batch.seconds, 3), **batch.summary["seconds"]}
    return {"duplicates_speedup": round(speedup, 3), "duplicates_seconds": spent}


def _ms_besides_recognition(machine: Machine, number: int, folder: Path) -> float:
    """Of a picture in a batch of so many: the time of all steps but the count, less that of the engine alone."""
    small = folder / f"small-{number}"
    drawn = [draw(small / f"{each}.png", f"word {number} {each}") for each in range(number)]
    batch = run_batch(machine, small, f"small-{number}")
    assert batch.pictures == number
    steps = batch.summary["seconds"]
    cores = os.cpu_count() or 1
    spent: float = steps["recognise"] + steps["answer"] - number * _seconds_alone(drawn[:20], machine) / cores
    return round(1000 * spent / number, 1)


def _seconds_alone(drawn: Sequence[Path], machine: Machine) -> float:
    """Of one picture, by the same engine in one sandboxed child that is warm."""
    settings = read_settings(imaging=False, scratch=machine.folder / "scratch", cache=machine.folder / "cache")
    recogniser = plugins.recogniser("tesseract", settings)
    engine = recogniser.identify(["eng"])
    recogniser.recognise(drawn[0], engine)
    begun = time.monotonic()
    for picture in drawn:
        recogniser.recognise(picture, engine)
    return (time.monotonic() - begun) / len(drawn)


def shown(figures: dict[str, Any]) -> str:
    rows = [f"{name:24} {value}" for name, value in figures.items()]
    return "\n".join([*rows, f"load average {os.getloadavg()[0]:.1f}"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
