"""A folder for messages that nobody can read: bounded, and each message once, however often it is sent."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

MOST = 200  # letters; the oldest go first


def keep(folder: Path, body: bytes, reason: str) -> Path:
    """Write the message and what is wrong with it; nobody but us may read it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    letter = folder / f"{sha256(body).hexdigest()}.json"
    if not letter.exists():
        _make_room(folder)
        content = {
            "received": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": reason,
            "body": body.decode(errors="backslashreplace"),
        }
        letter.touch(mode=0o600)
        letter.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return letter


def _make_room(folder: Path) -> None:
    letters = sorted(folder.glob("*.json"), key=lambda letter: letter.stat().st_mtime_ns)
    for letter in letters[: max(0, len(letters) - MOST + 1)]:
        with suppress(FileNotFoundError):
            letter.unlink()
