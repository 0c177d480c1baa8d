"""`make up` as its users know it: start, drop a picture, read the mail, Ctrl-C, and the same again."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import psutil
import pytest
from redis import Redis

from deployments.up import redis
from deployments.up.checks import basic, posted
from tests.support.machine import PROJECT, draw
from tests.support.servers import ceph_is_installed
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

LONGEST_START, LONGEST_STOP = 150, 45  # seconds, on a busy machine; 25 and 5 on an idle one
LONGEST_ANSWER = 150


@dataclass
class Up:
    """What `make up` has told."""

    folder: Path
    output: str

    def address(self, name: str) -> str:
        found = re.search(rf"^  {name} +(http\S+)", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def mails(self) -> list[str]:
        """The subjects in the inbox."""
        request = Request(self.address("Mails"), headers=basic(f"any:{self.secret('inbox')}"))  # noqa: S310 - our own
        with urlopen(request, timeout=10) as page:  # noqa: S310 - our own
            return re.findall(r'<a href="/mails/\w+">(.*?)</a>', page.read().decode())

    def runs(self) -> list[str]:
        """The names of the flow runs that have completed."""
        asked = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        runs = posted(f"{self.address('Prefect')}/api/flow_runs/filter", asked, self.secret("prefect"))
        return [run["name"] for run in runs]

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text(encoding="utf-8")

    def uses_redis(self) -> bool:
        """Whether Prefect's events are in the Redis of this folder."""
        if not (configuration := self.folder / "redis.conf").exists():
            return False
        told = dict(line.split(" ", 1) for line in configuration.read_text().splitlines())
        with Redis(port=int(told["port"]), password=told["requirepass"]) as client:
            return bool(client.exists("events"))

    def s3(self) -> Any:
        """A client, by what stands in the file `environment`."""
        lines = (self.folder / "environment").read_text().splitlines()
        told = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in told.items():
                patch.setenv(name, value)
            return boto3.session.Session().client("s3")


@contextmanager
def up(folder: Path, store: str) -> Iterator[Up]:
    """Within the block all is up; in the end Ctrl-C is pressed, as a terminal does it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("INKTALLY_", "PREFECT_"))}
    output = folder / "output"
    with output.open("wb") as file:
        make = subprocess.Popen(
            ["make", "up", f"UP={folder / 'up'}", f"STORE={store}"],
            cwd=PROJECT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(lambda: "Ctrl-C" in output.read_text() or make.poll() is not None, LONGEST_START, every=0.2)
        assert make.poll() is None, output.read_text()
        yield Up(folder / "up", output.read_text())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGINT)
        make.wait(LONGEST_STOP)
    assert output.read_text().splitlines()[-1] == "Stopped."
    assert processes_of(folder) == []


def processes_of(folder: Path) -> list[str]:
    """The command lines of all living processes that work in a folder, by their environment or their arguments."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = [*process.cmdline(), *process.environ().values()]
            if process.status() != "zombie" and any(text.find(f"{folder}/up") >= 0 for text in told):
                found.append(shlex.join(process.cmdline()))
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other accounts can reach: PostgreSQL does not run as root."""
    path = Path(tempfile.mkdtemp(prefix="inktally-up-"))
    path.chmod(0o755)
    yield path
    left = processes_of(path)
    shutil.rmtree(path)
    assert left == []


def test_a_picture_dropped_into_the_folder_is_answered_and_a_killed_service_comes_back(folder: Path) -> None:
    with up(folder, "folder") as running:
        draw(folder / "page.png", "one fish two fish")
        shutil.copy(folder / "page.png", running.folder / "store" / "input")
        eventually(running.mails, LONGEST_ANSWER)
        assert running.mails() == ["4 words in page.png"]
        assert running.uses_redis() == (redis.program() is not None)
        kill("web.inbox", folder)
        eventually(lambda: mails_or_none(running), 90)
        assert "It is up already" in refused(folder, "folder")


@pytest.mark.skipif(not ceph_is_installed(), reason="Ceph is not installed (ceph-mon ceph-osd radosgw ceph-common)")
def test_a_picture_put_into_the_bucket_is_answered_and_everything_is_there_after_a_restart(folder: Path) -> None:
    draw(folder / "page.png", "one fish two fish")
    with up(folder, "ceph") as running:
        metadata = {"Metadata": {"email": "anna@example.org"}}
        running.s3().upload_file(str(folder / "page.png"), "inktally", "input/page.png", ExtraArgs=metadata)
        eventually(running.mails, LONGEST_ANSWER)
        eventually(lambda: "page.png" in running.runs(), 90)
    with up(folder, "ceph") as running:
        assert running.mails() == ["4 words in page.png"]
        assert "page.png" in running.runs()
        listed = running.s3().list_objects_v2(Bucket="inktally")["Contents"]
        assert {"input/page.png", "output/word_counts/page.png.json"} <= {entry["Key"] for entry in listed}


def test_a_folder_that_has_another_kind_of_store_is_refused(folder: Path) -> None:
    (folder / "up" / "store").mkdir(parents=True)
    assert "has a store already" in refused(folder, "ceph")


def refused(folder: Path, store: str) -> str:
    """What `make up` says when it cannot run."""
    command = ["make", "up", f"UP={folder / 'up'}", f"STORE={store}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def kill(name: str, folder: Path) -> None:
    """As the kernel does when memory runs out."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            mine = process.environ().get("PREFECT_HOME") == str(folder / "up" / "prefect")
            if mine and name in process.cmdline() and "supervisor" not in process.cmdline():
                process.kill()
                process.wait(10)


def mails_or_none(running: Up) -> list[str] | None:
    try:
        return running.mails()
    except OSError:
        return None
