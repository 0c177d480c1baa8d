"""Children that several processes share, and what happens when one of these or the server itself has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inktally.errors import EngineFailed, RecognitionTimeout
from inktally.sandbox.parent import Sandbox
from inktally.sandbox.shared import SandboxClient, sandbox
from inktally.settings import Settings
from tests.support.machine import PROJECT, eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, scratch=tmp_path, recognition_workers=2, sandbox=str(tmp_path / "socket"))


@pytest.fixture
def server(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "inktally.sandbox.shared", settings.sandbox],
        cwd=PROJECT,
        env={**os.environ, "INKTALLY_SCRATCH": str(settings.scratch)},
        stdin=subprocess.PIPE,
    )
    eventually(Path(settings.sandbox).exists)
    yield started
    started.kill()
    started.wait()


@pytest.fixture
def shared(settings: Settings) -> SandboxClient:
    made = sandbox(settings)
    assert isinstance(made, SandboxClient)
    return made


def parents_of(pid: int) -> list[int]:
    return [parent.pid for parent in psutil.Process(pid).parents()]


def test_pictures_are_read_by_the_servers_children_one_after_the_other(
    shared: SandboxClient, server: subprocess.Popen[bytes]
) -> None:
    pids = {shared.call("tests.support.hostile:be_well", {}, seconds=30) for _ in range(3)}
    assert len(pids) == 1
    assert server.pid in parents_of(pids.pop())


def test_errors_come_as_they_are(shared: SandboxClient, server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with pytest.raises(RecognitionTimeout, match=r"after 0\.5 seconds"):
        shared.call("tests.support.hostile:sleep", {"started": str(tmp_path / "pid")}, seconds=0.5)
    assert server.pid in parents_of(shared.call("tests.support.hostile:be_well", {}, seconds=30))


@pytest.mark.usefixtures("server")
def test_what_nobody_waits_for_any_more_is_ended(settings: Settings, tmp_path: Path) -> None:
    started = tmp_path / "pid"
    program = (
        "from pathlib import Path; from inktally.settings import Settings; "
        "from inktally.sandbox.shared import sandbox; "
        f"settings = Settings(_env_file=None, scratch=Path({str(tmp_path)!r}), sandbox={settings.sandbox!r}); "
        f"sandbox(settings).call('tests.support.hostile:sleep', {{'started': {str(started)!r}}}, seconds=50)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT)
    eventually(lambda: started.exists() and started.read_text())
    run.kill()
    run.wait()
    eventually(lambda: not psutil.pid_exists(int(started.read_text())), 5)


def test_where_no_server_answers_a_run_has_children_of_its_own(shared: SandboxClient) -> None:
    assert os.getpid() in parents_of(shared.call("tests.support.hostile:be_well", {}, seconds=30))


def test_a_server_that_dies_meanwhile_is_a_fault_of_ours(
    shared: SandboxClient, server: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(EngineFailed, match="it will be tried again"):
        shared.call("tests.support.hostile:kill_parent", {}, seconds=30)
    assert server.wait(10)
    assert os.getpid() in parents_of(shared.call("tests.support.hostile:be_well", {}, seconds=30))


def test_the_server_ends_with_its_input_and_leaves_nothing(
    shared: SandboxClient, server: subprocess.Popen[bytes], settings: Settings
) -> None:
    child = shared.call("tests.support.hostile:be_well", {}, seconds=30)
    assert server.stdin is not None
    server.stdin.close()
    assert server.wait(10) == 0
    eventually(lambda: not psutil.pid_exists(child), 5)
    assert not Path(settings.sandbox).exists()


def test_without_a_server_named_nothing_is_shared(tmp_path: Path) -> None:
    assert isinstance(sandbox(Settings(_env_file=None, scratch=tmp_path)), Sandbox)
