"""What a bucket was found to honour, kept in the user's cache for an hour, so that not each run tries it anew."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inktally.document import sha256_of

SECONDS = 3600


@dataclass(frozen=True)
class Remembered:
    """Answers to yes-or-no questions about one bucket, as files of `folder`, one for each question."""

    folder: Path

    def answer(self, ask: Callable[[], bool], *question: str) -> bool:
        """What is remembered of the question, else what `ask` finds out. Where nothing can be kept, it asks again."""
        path = self.folder / f"{sha256_of(*question)}.json"
        with suppress(OSError, ValueError):
            if 0 <= time.time() - path.stat().st_mtime < SECONDS and (kept := json.loads(path.read_bytes())) in (0, 1):
                return bool(kept)
        found = ask()
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(found))
            new.replace(path)
        return found
