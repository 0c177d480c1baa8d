"""The command line as its users run it, on a machine of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally import plugins
from inktally.ports import Store
from inktally.settings import Settings
from tests.support.forks import Forked, Forks
from tests.support.openings import PROGRAMS, Openings

Started = subprocess.Popen[str] | Forked
PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "flows.ocr_flow"]
READING, OTHER = "read", "any"  # how a wrapped program is started
LONGEST_RUN = 300  # seconds; on a busy machine
SETTINGS = ("INKTALLY_", "PREFECT_", "SPARK_", "XDG_", "PYTHONDONTWRITEBYTECODE")  # imports are slow without
OWN_CHILDREN = {"INKTALLY_SANDBOX": ""}
"""For a command that is to read its pictures in children of its own, which it leaves behind or not."""
PREFECT_SIGN_IN = "inktally:a secret of the tests"
"""What all Prefect servers of tests ask for, and their clients have."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_API_AUTH_STRING": PREFECT_SIGN_IN,
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",  # this and the next as `make up` tells its clients
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}


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

    @property
    def only(self) -> dict[str, Any]:
        (outcome,) = self.objects
        return outcome


@dataclass
class Machine:
    """A user's machine: a home, a store, a mail folder, scratch, and a PATH whose tesseract is counted."""

    folder: Path
    environment: dict[str, str]
    command: Sequence[str] = tuple(COMMAND)
    forks: Forks | None = None
    """From which commands are forked; None: each is a cold start."""
    started_here: list[Started] = field(default_factory=list)
    _starts: dict[str, tuple[Openings, str, str]] = field(default_factory=dict)

    @property
    def wrappers(self) -> Path:
        """The folder of the programs whose starts are counted."""
        return (self.folder / "bin").resolve()

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def opened_store(self) -> Store:
        return plugins.store(str(self.store), Settings(_env_file=None))

    def start(
        self, *arguments: str | bytes | Path, cwd: Path = PROJECT, cold: bool = False, **environment: str | Path
    ) -> Started:
        """The command in a process group of its own, as a shell does it; ended with the machine at the latest."""
        command = [*self.command, *map(os.fsdecode, arguments)]
        variables = {**self.environment, **{name: str(value) for name, value in environment.items()}}
        if self.forks and not cold:
            self.started_here.append(self.forks.start(command[1:], variables, cwd))
        else:
            self.started_here.append(cold_start(command, variables, cwd))
        return self.started_here[-1]

    def run(
        self, *arguments: str | bytes | Path, cwd: Path = PROJECT, cold: bool = False, **environment: str | Path
    ) -> Run:
        return ended(self.start(*arguments, cwd=cwd, cold=cold, **environment))

    def settings_of_runs(self) -> dict[str, str]:
        """What a run of a worker that others use too has to be told to be one of this machine."""
        names = ("INKTALLY_", "AWS_", "HOME", "PATH")
        return {name: value for name, value in self.environment.items() if name.startswith(names)}

    def mails(self) -> list[EmailMessage]:
        """All that have come, the oldest first."""
        files = sorted((self.folder / "mail").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        parsed = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [mail for mail in parsed if isinstance(mail, EmailMessage)]

    def count_starts_of(self, program: str, shell: str = "") -> None:
        """Put a wrapper of a program first on PATH, whose starts are counted, and which does what `shell` says.

        A sandboxed child starts it too, which can write nowhere: so the wrapper opens a file, and the kernel tells us.
        """
        if program not in self._starts:
            openings = Openings(self.wrappers / f"{program}-starts")
            self._starts[program] = openings, openings.by_shell(READING, '*" -l "*'), openings.by_shell(OTHER, "*")
        _, *counting = self._starts[program]
        wrapper = self.wrappers / program
        script = "\n".join(["#!/bin/sh", *counting, shell, f'PATH="{os.environ["PATH"]}" exec {program} "$@"\n'])
        wrapper.with_suffix(".new").write_text(script)
        wrapper.with_suffix(".new").chmod(0o755)
        wrapper.with_suffix(".new").replace(wrapper)

    def starts_of(self, program: str) -> int:
        """How often a program was started."""
        return self._starts[program][0].kinds().count(OTHER)

    def recognitions(self) -> int:
        """How often Tesseract has been started to read a picture, not to tell its version."""
        return self._starts["tesseract"][0].kinds().count(READING)

    def forget_starts(self) -> None:
        for openings, *_ in self._starts.values():
            openings.forget()

    def slow_down_tesseract(self, seconds: float) -> None:
        self.count_starts_of("tesseract", f'case " $* " in *" -l "*) sleep {seconds};; esac')

    def processes(self) -> list[psutil.Process]:
        """All living processes with this machine's home, whoever their parent is by now; and those forked here."""
        return [process for process in psutil.process_iter() if self._runs(process)]

    def programs(self) -> set[str]:
        """The names of those that have not ended while we look."""
        return {process.info["name"] for process in psutil.process_iter(["name"]) if self._runs(process)}

    def _runs(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            home = process.environ().get("HOME")  # a fork's is that of the forkserver
            return (home == self.environment["HOME"] or process.pid in self._forked) and process.status() != "zombie"
        return False

    @property
    def _forked(self) -> set[int]:
        return {started.pid for started in self.started_here if started.poll() is None}

    def scratch_folders(self) -> list[Path]:
        return list((self.folder / "scratch").rglob("*scratch-*"))

    def markers(self, name: str) -> list[Path]:
        return list((self.store / "state").glob(f"*/{name}"))


def cold_start(command: Sequence[str], environment: Mapping[str, str], cwd: Path = PROJECT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


@contextmanager
def new_machine(folder: Path, forks: Forks | None = None, /, **environment: str | Path) -> Iterator[Machine]:
    """Nothing is configured but where things lie; of the tester's own environment only what is no setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    (folder / "home").mkdir(parents=True)
    PROGRAMS.mkdir(exist_ok=True)
    wrappers = Path(tempfile.mkdtemp(dir=PROGRAMS))
    wrappers.chmod(0o755)  # also for children that have given up their rights
    (folder / "bin").symlink_to(wrappers)
    own = {
        "PATH": f"{wrappers}:{Path(sys.executable).parent}:{kept['PATH']}",
        "HOME": folder / "home",
        "INKTALLY_STORE": folder / "store",
        "INKTALLY_MAIL_FOLDER": folder / "mail",
        "INKTALLY_SCRATCH": folder / "scratch",
        "INKTALLY_TESSERACT": wrappers / "tesseract",  # a command, whose starts can be counted
        "PYTHONPATH": PROJECT,
    }
    variables = {name: str(value) for name, value in {**kept, **own, **QUIET, **environment}.items()}
    made = Machine(folder, variables, forks=forks)
    made.count_starts_of("tesseract")
    try:
        yield made
    finally:
        for process in made.processes():
            with suppress(psutil.Error):
                process.kill()
        for popen in made.started_here:
            popen.communicate()
        shutil.rmtree(wrappers)


def ended(process: Started, seconds: float = LONGEST_RUN) -> Run:
    """Wait for a command to end."""
    stdout, stderr = process.communicate(timeout=seconds)
    return Run(process.returncode, stdout, stderr)


@contextmanager
def server_environment(**others: str | Path) -> Iterator[None]:
    """Within the block, this process's environment is that of servers."""
    with pytest.MonkeyPatch.context() as patch:
        ours = environment_of_servers(**others)
        for name in os.environ.keys() - ours.keys():
            patch.delenv(name)
        for name, value in ours.items():
            patch.setenv(name, value)
        yield


def environment_of_servers(**others: str | Path) -> dict[str, str]:
    """That which servers get of us: no settings of the tester's, and the programs of this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return {**kept, **path, **QUIET, **{name: str(value) for name, value in others.items()}}


def draw(path: Path, text: str) -> Path:
    """A small picture of a few words, which Tesseract reads in a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: Sequence[str] = text.splitlines()
    picture = Image.new("L", (40 + 26 * max(map(len, lines)), 40 + 60 * len(lines)), 255)
    ImageDraw.Draw(picture).multiline_text((20, 20), text, font=ImageFont.load_default(40), fill=0, spacing=12)
    picture.save(path, format="PNG", dpi=(200, 200))
    return path


def words_of(path: str | Path) -> dict[str, int]:
    """The counts in a document of counts."""
    return {entry["word"]: entry["count"] for entry in json.loads(Path(path).read_text())["words"]}
