"""Files are read as a run does it; what came of each, in what time and memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inktally import plugins
from inktally.errors import InktallyError
from inktally.sandbox.parent import close_all
from inktally.settings import read_settings

KILOBYTES = 1024  # in a megabyte


@dataclass(frozen=True)
class Weighed:
    """What came of a file: the kind of its error, else "words"; seconds; and the most megabytes that the process, and
    the largest of its children that has ended, have held so far."""

    kind: str
    message: str
    seconds: float
    parent: int
    child: int


def peak() -> int:
    """The most megabytes that this process has held; `ru_maxrss` may be those of the one that has started it."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) // KILOBYTES


def weighed(files: Sequence[Path], **settings: object) -> list[Weighed]:
    """In a process of its own, whose children have all ended with the last file."""
    command = [sys.executable, "-m", "tests.support.weighed", json.dumps(settings), *map(str, files)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [Weighed(**json.loads(line)) for line in told.splitlines()]


def main(settings: str, *files: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        read = read_settings(scratch=Path(scratch), recognition_workers=1, **json.loads(settings))
        reader = plugins.recogniser("tesseract", read)
        for file in files:
            begun = time.monotonic()
            try:
                kind, message = "words", str(len(reader.recognise(Path(file), reader.identify(["eng"])).words))
            except InktallyError as error:
                kind, message = error.kind, str(error)
            seconds = round(time.monotonic() - begun, 1)
            if file == files[-1]:
                close_all()
            parent, child = peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // KILOBYTES
            sys.stdout.write(json.dumps(vars(Weighed(kind, message, seconds, parent, child))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
