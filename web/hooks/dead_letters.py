"""A folder for messages that nobody can read: bounded, and each message once, however often it is sent.

As a command, python -m web.dead_letters lists what is there.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from inktally.modes import make_folder
from inktally.scratch import write_whole
from inktally.text import printable
from web.command import run_command

MOST = 200  # letters; the oldest go first


def keep(folder: Path, body: bytes, reason: str) -> Path:
    """Write the message and what is wrong with it; nobody but us may read it."""
    make_folder(folder)
    letter = folder / f"{sha256(body).hexdigest()}.json"
    if not letter.exists():
        _make_room(folder)
        content = {
            "received": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": reason,
            "body": body.decode(errors="backslashreplace"),
        }
        write_whole(letter, f"{json.dumps(content, indent=1)}\n".encode())
    return letter


def listed(folder: Path) -> Iterator[str]:
    """The letters in words, the oldest first, and how many there are."""
    letters = _letters(folder)
    for letter in letters:
        with suppress(FileNotFoundError):  # it has just made room for another
            content = json.loads(letter.read_text(encoding="utf-8"))
            yield f"{letter}\n    {content['received']}  {printable(content['reason'])}\n"
    yield f"{len(letters)} dead {'letter' if len(letters) == 1 else 'letters'} in {folder}\n"


def _letters(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"), key=lambda letter: letter.stat().st_mtime_ns)


def _make_room(folder: Path) -> None:
    letters = _letters(folder)
    for letter in letters[: max(0, len(letters) - MOST + 1)]:
        with suppress(FileNotFoundError):
            letter.unlink()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.dead_letters", description="List the messages to the receiver that nobody can read."
    )
    return run_command(parser, argv, lambda settings, _asked: sys.stdout.writelines(listed(settings.dead_letters)))
