"""Whether lists are read alike whichever side is up: python -m benchmarks.orientation --pages N --seed S [--json].

Each page is read upright, and once more in an orientation that its seed chooses. It is right where the F1 of both is
the same within 0.02. An upright page that was turned is counted apart: there should be none.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.accuracy import f1, say
from benchmarks.rows import ON_A4, RowPage, page
from inktally import plugins
from inktally.document import Recognition
from inktally.ports import Recogniser
from inktally.settings import read_settings

ALIKE = 0.02  # F1


class Result(NamedTuple):
    """How a page was read upright, and how turned by so many quarters."""

    seed: int
    kind: str
    quarters: int
    upright: float
    turned: float
    was_turned: bool
    """Upright, by mistake."""
    history: str

    @property
    def is_right(self) -> bool:
        return self.turned >= self.upright - ALIKE and not self.was_turned


def main() -> int:
    asked = _arguments()
    results = list(measured(asked.pages, asked.seed, asked.engine, dpi=asked.dpi, most_rows=asked.rows))
    found = summary(results)
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write("\n".join(f"{name}: {value}" for name, value in found.items()) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.orientation", description="Are lists read alike whichever side is up?"
    )
    parser.add_argument("--pages", type=int, default=1000, metavar="N", help="distinct pages (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the pages (1)")
    parser.add_argument("--engine", default="auto", choices=plugins.engines(), help="recognition engine (auto)")
    parser.add_argument("--dpi", type=int, default=150, help="of the pages (150)")
    parser.add_argument("--rows", type=int, default=300, help="of a page, at the most (300)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser.parse_args()


def summary(results: list[Result]) -> dict[str, object]:
    """Figures, and what went wrong."""
    return {
        "pages": len(results),
        "right": sum(each.is_right for each in results),
        "upright_turned": sum(each.was_turned for each in results),
        "f1_upright": round(fmean(each.upright for each in results), 4),
        "f1_turned": round(fmean(each.turned for each in results), 4),
        "wrong": [each._asdict() for each in results if not each.is_right],
    }


def measured(pages: int, seed: int, engine: str, *, dpi: int, most_rows: int, on_a4: float = ON_A4) -> Iterator[Result]:
    """As many pages at a time as the settings let us read; the pages of two seeds are distinct."""
    settings = read_settings()
    recogniser = plugins.recogniser(engine, settings)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(settings.recognition_workers) as pool:

        def one(number: int) -> Result:
            made = page(seed * 1_000_000 + number, dpi=dpi, most_rows=most_rows, on_a4=on_a4)
            return _result(recogniser, Path(folder), made, seed * 1_000_000 + number)

        for done, result in enumerate(pool.map(one, range(pages)), 1):
            say(f"{done}/{pages} {'right' if result.is_right else 'WRONG'} {result}")
            yield result


def _result(recogniser: Recogniser, folder: Path, made: RowPage, seed: int) -> Result:
    quarters = random.Random(seed).randrange(4)  # noqa: S311 - nothing secret
    upright = _read(recogniser, folder / f"{seed}.png", made, 0)
    turned = _read(recogniser, folder / f"{seed}.png", made, quarters) if quarters else upright
    return Result(
        seed=seed,
        kind=made.kind,
        quarters=quarters,
        upright=round(f1(made.text, upright.text), 4),
        turned=round(f1(made.text, turned.text), 4),
        was_turned=any(step.name == "turn" for step in upright.pages[0].steps),
        history="; ".join(dict.fromkeys([upright.pages[0].reason, turned.pages[0].reason])),
    )


def _read(recogniser: Recogniser, picture: Path, made: RowPage, quarters: int) -> Recognition:
    turned = np.ascontiguousarray(np.rot90(made.pixels, quarters))
    Image.fromarray(turned).save(picture, dpi=(made.dpi, made.dpi), compress_level=1)
    try:
        return recogniser.recognise(picture, recogniser.identify(["eng"]))
    finally:
        picture.unlink()


if __name__ == "__main__":
    sys.exit(main())
