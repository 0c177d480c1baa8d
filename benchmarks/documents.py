"""A long document, from PUT to mail: python -m benchmarks.documents [--json].

A PDF of scanned pages is put into the bucket of a stack whose servers are warm. Beside it stand, in the same run, the
command `tesseract` by `xargs -P` on the same pages as PNGs, and OCRmyPDF with as many jobs as there are cores on the
same PDF, where it is installed. Then a run is killed over another document when three quarters of its pages are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pikepdf
import psutil
from PIL import Image

from benchmarks.pages import one_thread, page, seconds_of_xargs
from inktally import keys
from tests.support.machine import server_environment
from tests.support.stack import Put, Stack, kill_run, new_stack, own_servers
from tests.support.waiting import eventually

ENGINE = "tesseract"
CORES = os.cpu_count() or 1
OCRMYPDF = Path(sys.executable).with_name("ocrmypdf")
DPI, POINTS = 200, 72
FEW = 10
"""Pages of the document whose memory stands beside."""
PATIENCE = 30.0
"""Seconds for each page, after which a document counts as lost."""
LEASE = 5.0
"""Seconds after which what a killed run held may be taken over."""
EVERY = 0.5
MEGABYTE = 1024 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.documents", description="A long document.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.add_argument("--pages", type=int, default=200, help="pages of the document (200)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inktally-documents-", ignore_cleanup_errors=True) as folder:
        figures = measured(Path(folder), asked.pages)
    rows = "".join(f"{name:28} {value}\n" for name, value in figures.items())
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else rows)
    return 0


def measured(folder: Path, number: int) -> dict[str, Any]:
    """All figures, on a stack that lives in `folder`."""
    made = [page(folder / "pages" / f"{each:04}.png", each) for each in range(number)]
    document = pdf_of(made, folder / "document.pdf")
    few = pdf_of(made[:FEW], folder / "few.pdf")
    other = pdf_of(made[::-1], folder / "other.pdf")
    half = number // 2
    with (
        server_environment(),
        own_servers(folder / "servers") as (s3, spark),
        new_stack(folder / "stack", s3, spark.address, tesseract="", engine=ENGINE, lease_seconds=LEASE) as stack,
    ):
        stack.connect()
        seconds_of(stack, "warming", made[0], 1)
        with peak_of(stack) as small:
            seconds_of(stack, "few", few, FEW)
        tesseract = seconds_of_xargs(made[:half])
        with peak_of(stack) as large:
            ours = seconds_of(stack, "document", document, number)
        tesseract += seconds_of_xargs(made[half:])  # half before, half after: what else runs strikes both
        ocrmypdf = seconds_of_ocrmypdf(document)
        repeated = pages_repeated_after_kill(stack, other, number)
    return {
        "engine": ENGINE,
        "pages": number,
        "seconds": round(ours, 1),
        "ratio_to_ocrmypdf": ocrmypdf and round(ocrmypdf / ours, 3),
        "ratio_to_tesseract": round(tesseract / ours, 3),
        "peak_mb": round(max(large), 1),
        "peak_mb_of_few_pages": round(max(small), 1),
        "pages_repeated_after_kill": repeated,
    }


def pdf_of(pages: Sequence[Path], path: Path) -> Path:
    """A PDF of these pictures, as a scanner writes it, without a loss."""
    with pikepdf.new() as file:
        for each in pages:
            with Image.open(each) as scan:
                width, height = (side * POINTS / DPI for side in scan.size)
                made = file.add_blank_page(page_size=(width, height))
                facts = {"Width": scan.width, "Height": scan.height, "BitsPerComponent": 8}
                kind = {"Type": pikepdf.Name.XObject, "Subtype": pikepdf.Name.Image}
                picture = file.make_stream(scan.tobytes(), ColorSpace=pikepdf.Name.DeviceGray, **facts, **kind)
            made.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im1=picture))
            made.Contents = file.make_stream(f"q {width} 0 0 {height} 0 0 cm /Im1 Do Q".encode())
        file.save(path)
    return path


def seconds_of(stack: Stack, name: str, file: Path, pages: int) -> float:
    """From PUT to mail."""
    put = stack.upload(name, file.read_bytes())
    return _answered(stack, put, pages) - put.moment


def _answered(stack: Stack, put: Put, pages: int) -> float:
    stack.wait_for_mails([put], PATIENCE * (2 + pages))
    return stack.mailbox.moments()[put.to]


def seconds_of_ocrmypdf(document: Path) -> float | None:
    """None where it is not installed."""
    if not OCRMYPDF.exists():
        return None
    options = ["--jobs", str(CORES), "--output-type", "pdf", "--quiet", "-l", "eng"]
    begun = time.monotonic()
    subprocess.run(
        [OCRMYPDF, *options, document, document.with_suffix(".ocr.pdf")],
        env=one_thread(),
        check=True,
        capture_output=True,
    )
    return time.monotonic() - begun


def pages_repeated_after_kill(stack: Stack, document: Path, pages: int) -> int:
    """How many pages are read twice when the run is killed over the last quarter: those under way count as read.

    The bucket keeps versions: they tell how often each page was kept. The first page is read by each run.
    """
    put = stack.upload("killed", document.read_bytes())
    eventually(lambda: len(stack.keys(keys.PAGES)) >= pages * 3 // 4, PATIENCE * pages)
    for pid in stack.run_pids():
        kill_run(pid)
    kept = len(stack.keys(keys.PAGES))
    before = most = _times_kept(stack)
    time.sleep(2 * LEASE)
    stack.deliver(put)
    end = time.monotonic() + PATIENCE * pages
    while put.to not in stack.mailbox.moments() and time.monotonic() < end:
        most = max(most, _times_kept(stack))  # in the end they are removed
        time.sleep(EVERY / 5)
    assert put.to in stack.mailbox.moments(), "the document was not answered after the kill"
    return 1 + (most - before) - (pages - 1 - kept) + CORES


def _times_kept(stack: Stack) -> int:
    found = stack.s3.client.get_paginator("list_object_versions").paginate(Bucket=stack.bucket, Prefix=keys.PAGES)
    return sum(len(each.get("Versions", [])) for each in found)


@contextmanager
def peak_of(stack: Stack) -> Iterator[list[float]]:
    """The memory (MB) of all processes of the stack's machine that is theirs alone, again and again."""
    is_over, found = threading.Event(), [0.0]

    def watch() -> None:
        while not is_over.wait(EVERY):
            found.append(sum(map(_own_memory, stack.machine.processes())) / MEGABYTE)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def _own_memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    sys.exit(main())
