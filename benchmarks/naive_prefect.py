"""What people write first: a Prefect task a page, with pytesseract. `python -m benchmarks.naive_prefect FOLDER`.

Prints the seconds of the flow, without those of Prefect's start.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytesseract
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner


@task
def read(page: str) -> list[str]:
    return str(pytesseract.image_to_string(page)).lower().split()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=os.cpu_count()))  # type: ignore[arg-type]
def count(pages: list[str]) -> Counter[str]:
    return Counter(word for words in read.map(pages).result() for word in words)


if __name__ == "__main__":
    count([])
    begun = time.monotonic()
    count([str(page) for page in sorted(Path(sys.argv[1]).glob("*.png"))])
    sys.stdout.write(f"{time.monotonic() - begun}\n")
