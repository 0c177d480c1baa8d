"""Send a recorded event to the receiver: python -m web.replay EVENT.json"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from inktally.errors import BadSettings
from inktally.settings import Settings, read_settings


def send(body: bytes, url: str, settings: Settings) -> httpx.Response:
    """As a sender would, with the secret of the settings if there is one. Raises `httpx.HTTPError`."""
    secret = settings.hook_secret.get_secret_value()
    headers = {b"Content-Type": b"application/json", b"X-Inktally-Secret": secret.encode()}
    return httpx.post(url, content=body, headers=headers, timeout=10)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the receiver took all of it, 1 when not, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m web.replay", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("events", nargs="+", type=Path, metavar="EVENT.json", help="a message as its sender wrote it")
    parser.add_argument("--to", metavar="URL", help="the receiver; without it, the one of the settings")
    asked = parser.parse_args(argv)
    try:
        settings = read_settings()
        url = asked.to or f"http://{settings.web_host}:{settings.web_port}/hooks/s3"
        answers = [_told(path, send(path.read_bytes(), url, settings)) for path in asked.events]
    except (BadSettings, OSError, httpx.HTTPError) as error:
        parser.exit(2 if isinstance(error, BadSettings) else 1, f"{parser.prog}: {error}\n")
    return int(not all(answers))


def _told(path: Path, answer: httpx.Response) -> bool:
    sys.stdout.write(f"{path}: {answer.status_code} {answer.text}\n")
    return answer.is_success


if __name__ == "__main__":
    sys.exit(main())
