"""Send a recorded event to the receiver: python -m web.replay EVENT.json"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from inktally.settings import Settings
from inktally.text import printable
from web.command import run_command


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
    return run_command(parser, argv, _replay)


def _replay(settings: Settings, asked: argparse.Namespace) -> int:
    url = asked.to or f"http://{settings.web_host}:{settings.web_port}/hooks/s3"
    try:
        answers = [_told(path, send(path.read_bytes(), url, settings)) for path in asked.events]
    except (OSError, httpx.HTTPError) as error:
        sys.stderr.write(f"python -m web.replay: {error}\n")
        return 1
    return int(not all(answers))


def _told(path: Path, answer: httpx.Response) -> bool:
    sys.stdout.write(f"{path}: {answer.status_code} {printable(answer.text)}\n")
    return answer.is_success
