"""Children that several processes share, and what happens when one of these or the server itself has gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inktally.errors import EngineFailed, RecognitionTimeout, Stopped
from inktally.sandbox.parent import Sandbox
from inktally.sandbox.shared import SandboxClient, sandbox
from inktally.settings import Settings
from tests.support.machine import PROJECT
from tests.support.waiting import eventually


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
    assert sandbox(settings).call("tests.support.hostile:be_well", {}, seconds=30)
    yield started
    started.kill()
    started.wait()


@pytest.fixture
def shared(settings: Settings) -> SandboxClient:
    made = sandbox(settings)
    assert isinstance(made, SandboxClient)
    return made


def below(pid: int) -> set[int]:
    """The processes that one has started, with those that these have."""
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def own_zygotes(server: int) -> set[int]:
    """Ours, without the server and what is below it."""
    return below(os.getpid()) - below(server) - {server}


def test_pictures_are_read_by_the_servers_children(shared: SandboxClient, server: subprocess.Popen[bytes]) -> None:
    ours, theirs = own_zygotes(server.pid), below(server.pid)
    assert all(shared.call("tests.support.hostile:be_well", {}, seconds=30) for _ in range(3))
    assert own_zygotes(server.pid) == ours
    assert below(server.pid) == theirs != set()


def test_errors_come_as_they_are(shared: SandboxClient, server: subprocess.Popen[bytes]) -> None:
    theirs = below(server.pid)
    with pytest.raises(RecognitionTimeout, match=r"after 0\.5 seconds"):
        shared.call("tests.support.hostile:sleep", {}, seconds=0.5)
    assert shared.call("tests.support.hostile:be_well", {}, seconds=30)
    assert below(server.pid) == theirs


@pytest.mark.usefixtures("server")
def test_files_go_to_the_child_and_come_back(shared: SandboxClient, tmp_path: Path) -> None:
    target = tmp_path / "target"
    shared.call("tests.support.attacks:leave_a_file", {"target": str(target)}, seconds=30, writes=["target"])
    assert target.read_text() == "plain"


def test_what_nobody_waits_for_any_more_is_ended(
    settings: Settings, server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    theirs = below(server.pid)
    program = (
        "from pathlib import Path; from inktally.settings import Settings; "
        "from inktally.sandbox.shared import sandbox; "
        f"settings = Settings(_env_file=None, scratch=Path({str(tmp_path)!r}), sandbox={settings.sandbox!r}); "
        "sandbox(settings).call('tests.support.hostile:sleep', {}, seconds=50)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT)
    eventually(lambda: len(below(server.pid)) > len(theirs))
    run.kill()
    run.wait()
    eventually(lambda: below(server.pid) == theirs, 5)


def test_what_its_caller_does_not_want_any_more_is_ended(
    shared: SandboxClient, server: subprocess.Popen[bytes]
) -> None:
    theirs = below(server.pid)
    with pytest.raises(Stopped):
        shared.call("tests.support.hostile:sleep", {}, seconds=50, is_wanted=lambda: below(server.pid) == theirs)
    eventually(lambda: below(server.pid) == theirs, 5)
    assert shared.call("tests.support.hostile:be_well", {}, seconds=30, is_wanted=lambda: True)


def test_where_no_server_answers_a_run_has_children_of_its_own(shared: SandboxClient) -> None:
    ours = below(os.getpid())
    assert shared.call("tests.support.hostile:be_well", {}, seconds=30)
    assert below(os.getpid()) > ours


def test_a_server_that_dies_meanwhile_is_a_service_error(
    shared: SandboxClient, server: subprocess.Popen[bytes]
) -> None:
    idle = len(below(server.pid))

    def kill_it() -> None:
        eventually(lambda: len(below(server.pid)) > idle)
        server.kill()

    killer = threading.Thread(target=kill_it)
    killer.start()
    with pytest.raises(EngineFailed, match="it will be tried again"):
        shared.call("tests.support.hostile:sleep", {}, seconds=30)
    killer.join()
    assert server.wait(10)
    assert shared.call("tests.support.hostile:be_well", {}, seconds=30)


def test_the_server_ends_with_its_input_and_leaves_nothing(
    shared: SandboxClient, server: subprocess.Popen[bytes], settings: Settings
) -> None:
    shared.call("tests.support.hostile:be_well", {}, seconds=30)
    theirs = below(server.pid)
    assert server.stdin is not None
    server.stdin.close()
    assert server.wait(10) == 0
    eventually(lambda: not any(map(psutil.pid_exists, theirs)), 5)
    assert not Path(settings.sandbox).exists()


def test_without_a_server_named_nothing_is_shared(tmp_path: Path) -> None:
    assert isinstance(sandbox(Settings(_env_file=None, scratch=tmp_path)), Sandbox)
