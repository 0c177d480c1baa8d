"""Many users at once: python -m benchmarks.load [--users N] [--seconds N] [--json].

The real site (the page and the REST API) and the real receiver are started over a folder store; locust plays visitors,
programs and a bucket. Nothing reads the pictures: what would start the runs only takes the events. The figures say how
the doors stand the rush, not how quickly words are counted (that is benchmarks.latency).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deployments.up.checks import http_answers
from deployments.up.home import free_port
from tests.support.servers import process
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[1]
USERS = Path(__file__).with_name("load_users.py")
KEY, SECRET = "a key for one measurement", "a secret for one measurement"
PLENTY = "1000000"  # limits for single clients are not what is measured

Figures = dict[str, dict[str, int | float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="The doors, when many come at once.")
    parser.add_argument("--users", type=int, default=50, help="how many at once (50)")
    parser.add_argument("--seconds", type=int, default=60, help="for how long (60)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inktally-load-", ignore_cleanup_errors=True) as folder:
        figures = measured(Path(folder), asked.users, asked.seconds)
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else shown(figures))
    return int(not figures or any(of["errors"] for of in figures.values()))


def measured(folder: Path, users: int, seconds: int) -> Figures:
    """What is asked for -> requests, errors, requests a second, and milliseconds until the answer."""
    site, receiver = free_port(), free_port()
    with ExitStack() as stack:
        own = {
            "STORE": folder / "store",
            "SCRATCH": folder,
            "CACHE": folder / "cache",
            "MAIL_FOLDER": folder / "mail",
            "DEAD_LETTERS": folder / "dead-letters",
            "API_KEYS": KEY,
            "API_UPLOADS_PER_MINUTE": PLENTY,
            "SITE_PORT": site,
            "SITE_BEHIND_PROXY": "true",
            "CONNECTIONS_PER_CLIENT": 1000,  # all senders of events have one address here
            "SITE_UPLOADS_PER_CLIENT": PLENTY,
            "WEB_PORT": receiver,
            "HOOK_SECRET": SECRET,
        }
        environment = {f"INKTALLY_{name}": str(value) for name, value in own.items()}
        environment["PREFECT_API_URL"] = f"http://127.0.0.1:{stack.enter_context(_runs())}/api"
        for module, port in (("web.site", site), ("web", receiver)):
            stack.enter_context(_serving(module, port, folder, environment))
        return _figures(_locust(folder, users, seconds, site, receiver))


def shown(figures: Figures) -> str:
    rows = [f"{name:22} " + "  ".join(f"{key} {value}" for key, value in of.items()) for name, of in figures.items()]
    return "\n".join([*rows, f"load average {os.getloadavg()[0]:.1f}"]) + "\n"


@contextmanager
def _runs() -> Iterator[int]:
    """The port of what takes events in Prefect's place, and starts nothing."""

    class Taker(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def _serving(module: str, port: int, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", module]
    with _environment(environment), process(command, folder / f"{module}.log") as server:
        wait_until(lambda: http_answers(f"http://127.0.0.1:{port}/healthz"), server)
        yield


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _locust(folder: Path, users: int, seconds: int, site: int, receiver: int) -> list[dict[str, Any]]:
    """What locust has to say of each kind of request."""
    names = {"LOAD_SITE": site, "LOAD_RECEIVER": receiver}
    where = {name: f"http://127.0.0.1:{port}" for name, port in names.items()}
    command = [str(Path(sys.executable).with_name("locust")), "--locustfile", str(USERS), "--headless", "--json"]
    options = [
        "--users",
        str(users),
        "--spawn-rate",
        str(users),
        "--run-time",
        f"{seconds}s",
        "--stop-timeout",
        "10",
        "--csv",
        "load",
    ]
    with (folder / "locust.log").open("wb") as log:
        done = subprocess.run(
            [*command, *options],
            cwd=folder,
            env={**os.environ, **where, "LOAD_KEY": KEY, "LOAD_SECRET": SECRET, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
        )
    _tell_failures(folder / "load_failures.csv")
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def _tell_failures(path: Path) -> None:
    """What went wrong, and how often."""
    with path.open(newline="") as file:
        for failure in csv.DictReader(file):
            sys.stderr.write(f"{failure['Name']}: {failure['Error']} ({failure['Occurrences']})\n")


def _figures(told: list[dict[str, Any]]) -> Figures:
    return {of["name"]: _of_one(of) for of in sorted(told, key=lambda of: str(of["name"]))}


def _of_one(of: dict[str, Any]) -> dict[str, int | float]:
    times = sorted((float(time), number) for time, number in of["response_times"].items())
    lasted = max(of["last_request_timestamp"] - of["start_time"], 1.0)
    return {
        "requests": of["num_requests"],
        "errors": of["num_failures"],
        "per_second": round(of["num_requests"] / lasted, 1),
        "p50_ms": _percentile(times, 0.50),
        "p95_ms": _percentile(times, 0.95),
    }


def _percentile(times: list[tuple[float, int]], share: float) -> float:
    """Of times, each with how often it came."""
    wanted, seen = share * sum(number for _, number in times), 0
    for time, number in times:
        seen += number
        if seen >= wanted:
            return time
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
