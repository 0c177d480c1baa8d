"""One Prefect server for the session, and the command line as its users run it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from deployments import samples

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    samples.render(folder)
    return folder


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect_server(prefect_home: Path) -> Iterator[str]:
    """The address of the API of a real server on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "PREFECT_HOME": str(prefect_home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    log = (prefect_home / "server.log").open("wb")
    with subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT) as server:
        try:
            address = f"http://127.0.0.1:{port}/api"
            wait_until(lambda: answers(f"{address}/health"), 90)
            yield address
        finally:
            server.terminate()


@dataclass
class Run:
    """How the command ended, and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Every line of stdout, which must be one JSON object each."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass
class Machine:
    """A user's machine: a home, a store, a mail folder, and a PATH whose tesseract and java are counted."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.ocr_flow", *map(str, arguments)],
            cwd=PROJECT,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, **environment: str) -> Run:
        with self.start(*arguments, **environment) as process:
            stdout, stderr = process.communicate(timeout=120)
        return Run(process.returncode, stdout, stderr)

    def mails(self) -> list[EmailMessage]:
        files = sorted((self.folder / "mail").glob("*.eml"))
        parsed = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [mail for mail in parsed if isinstance(mail, EmailMessage)]

    def started(self, program: str) -> list[str]:
        """The command lines with which a program was started."""
        log = self.folder / f"{program}.log"
        return log.read_text().splitlines() if log.exists() else []

    def recognitions(self) -> int:
        return sum(" -l " in line for line in self.started("tesseract"))

    def forget_starts(self) -> None:
        for log in self.folder.glob("*.log"):
            log.unlink()

    def slow_down_tesseract(self, seconds: float) -> None:
        wrap("tesseract", self.folder, f'case "$*" in *" -l "*) sleep {seconds};; esac')


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Without any configured Prefect API; the Prefect home is this machine's own."""
    (tmp_path / "bin").mkdir()
    for program in ("tesseract", "java"):
        wrap(program, tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INKTALLY_", "PREFECT_"))}
    environment = {
        **kept,
        "PATH": f"{tmp_path / 'bin'}:{kept['PATH']}",
        "HOME": str(tmp_path / "home"),
        "JAVA_HOME": "",
        "INKTALLY_STORE": str(tmp_path / "store"),
        "INKTALLY_MAIL_FOLDER": str(tmp_path / "mail"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    (tmp_path / "home").mkdir()
    return Machine(tmp_path, environment)


@pytest.fixture
def connected(machine: Machine, prefect_server: str) -> Machine:
    """A machine whose Prefect has a running server."""
    machine.environment["PREFECT_API_URL"] = prefect_server
    return machine


def wrap(program: str, folder: Path, shell: str = "") -> None:
    """Put a wrapper of a program first on PATH, which writes each start into a log."""
    path = os.environ["PATH"]
    wrapper = folder / "bin" / program
    wrapper.write_text(f'#!/bin/sh\necho " $* " >> {folder}/{program}.log\n{shell}\nPATH="{path}" exec {program} "$@"\n')
    wrapper.chmod(0o755)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:  # noqa: S310 - our own server
            return bool(response.status == 200)
    except OSError:
        return False


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)
