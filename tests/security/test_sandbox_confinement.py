"""A child whose picture has taken it over gets at nothing: hostile code tries it, as root's child and as a user's.

Each is tried on this machine as it is, and where namespaces are refused, as in most containers.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from inktally import plugins
from inktally.sandbox.confinement import NOBODY, USERS, confinement
from inktally.settings import read_settings
from tests.support.attacks import SURVIVOR, is_refused
from tests.support.machine import PROJECT, draw
from tests.support.waiting import eventually

SECRET = "only-the-parent-knows"
USER = 12345
WAYS = [(who, namespaces) for who in ("root", "user") for namespaces in (True, False)]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="confinement is Linux's")


def interpreter() -> tuple[str, dict[str, str]]:
    """A Python that other users may run too, with our packages."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, f"/usr/bin/python{version}"):
        with suppress(OSError, subprocess.CalledProcessError):
            user = USER if os.geteuid() == 0 else None
            subprocess.run([found, "-c", ""], user=user, check=True, capture_output=True, cwd="/")
            return found, {"PYTHONPATH": f"{PROJECT}:{packages}"}
    pytest.skip(f"no Python {version} that another user may run")


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way[0]}{'' if way[1] else '-without-namespaces'}")
def attacked(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What each attack has achieved, with the facts that it was given."""
    who, namespaces = request.param
    if who == "root" and os.geteuid() != 0:
        pytest.skip("only root has children of root")
    with ExitStack() as stack:
        facts = _facts(Path("/tmp") / f"inktally-attacks-{os.getpid()}", stack, namespaces=namespaces)  # noqa: S108
        python, packages = interpreter()
        environment = {**os.environ, **packages, "INKTALLY_SMTP_PASSWORD": SECRET, "SECRET": SECRET}
        user = USER if who == "user" and os.geteuid() == 0 else None
        groups: list[int] | None = None if user is None else []
        run = subprocess.run(
            [python, "-m", "tests.support.attacks", json.dumps(facts)],
            cwd=PROJECT, env=environment, user=user, group=user, extra_groups=groups,
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        yield {**json.loads(run.stdout), "facts": facts, "root": who == "root", "namespaces": namespaces}


def _facts(folder: Path, stack: ExitStack, *, namespaces: bool) -> dict[str, Any]:
    """A machine to attack: a store, another's picture, servers; all of it open to every user."""
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    for name in ("store", "scratch", "elsewhere"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o777)
    folder.chmod(0o755)
    (folder / "scratch" / "picture").write_text("another's")
    (folder / "store" / "results").write_text("anybody's")
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    abstract, path = f"inktally-{folder.name}", str(folder / "socket")
    for address in (f"\0{abstract}", path):
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(address)
        listening.listen()
    Path(path).chmod(0o777)
    files = ["store/results", "store", "scratch", "scratch/picture"]
    return {
        "namespaces": namespaces,
        "scratch": str(folder / "scratch"),
        "files": [str(folder / name) for name in files]
        + [str(PROJECT / "README.md"), str(PROJECT), "/etc/passwd", "/etc", "/proc/self/environ", "/tmp", "/var/log"],  # noqa: S108
        "folders": [str(folder / "elsewhere"), "/tmp", "/dev/shm", str(Path(os.__file__).parent)],  # noqa: S108
        "port": server.getsockname()[1],
        "abstract": abstract,
        "path": path,
    }


def test_the_parent_and_other_processes_cannot_be_read(attacked: dict[str, Any]) -> None:
    assert attacked["read_processes"] == []


def test_it_has_no_secret(attacked: dict[str, Any]) -> None:
    assert SECRET not in json.dumps(attacked["who"])
    assert attacked["who"][0]["open"] == [0, 1, 2, 3]


def test_it_is_a_user_without_rights(attacked: dict[str, Any]) -> None:
    first, second = attacked["who"]
    assert (first["capabilities"], first["gains none"]) == (False, 1)
    if attacked["root"]:
        assert {*first["users"], *first["groups"]} <= {*USERS, *NOBODY}
        assert len(set(first["users"]) | set(first["groups"])) == 1
        assert first["users"] != second["users"]
    else:
        assert set(first["users"]) != {0}


def test_only_its_own_files_can_be_read(attacked: dict[str, Any]) -> None:
    assert all(map(is_refused, attacked["read_files"].values())), attacked["read_files"]
    assert attacked["read_own"] == "own"


def test_nothing_can_be_written_but_in_its_own_folder(attacked: dict[str, Any]) -> None:
    assert all(map(is_refused, attacked["write_files"].values())), attacked["write_files"]
    assert (attacked["own"], attacked["taken"]) == ("own", "plain")


def test_there_is_no_network_and_no_socket(attacked: dict[str, Any]) -> None:
    assert set(attacked["connect"]) == {"TCP", "UDP", "abstract", "path"}
    assert all(map(is_refused, attacked["connect"].values())), attacked["connect"]


def test_nothing_survives_its_session(attacked: dict[str, Any]) -> None:
    assert attacked["survive"] == [None, "UnreadablePicture", "RecognitionTimeout"]
    eventually(
        lambda: not any(SURVIVOR in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])), 5
    )


def test_no_signal_reaches_others(attacked: dict[str, Any]) -> None:
    assert all(map(is_refused, attacked["disturb"].values())), attacked["disturb"]


def test_the_next_picture_finds_everything_as_it_was(attacked: dict[str, Any]) -> None:
    assert attacked["remember"] == ["hello"]
    assert attacked["recall"] == {"kept": [], "read_page": "read_page", "root exists": True}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the calls are those of x86_64")
def test_the_kernel_does_nothing_for_it_that_reaches_further(attacked: dict[str, Any]) -> None:
    assert all(map(is_refused, attacked["call_the_kernel"].values())), attacked["call_the_kernel"]


def test_what_it_leaves_is_taken_only_where_it_is_a_plain_file(attacked: dict[str, Any]) -> None:
    assert all(map(is_refused, attacked["leave"]))
    assert (attacked["leave_a_folder"], attacked["nothing taken"]) == ("EngineFailed", True)


def test_the_check_says_what_is_missing(attacked: dict[str, Any]) -> None:
    assert ("namespaces" in attacked["grants"].partition(".")[0]) == attacked["namespaces"]
    assert ("No namespaces" in attacked["grants"]) != attacked["namespaces"]


def test_where_something_is_missing_a_strict_sandbox_opens_nothing(attacked: dict[str, Any]) -> None:
    is_open = attacked["strict"] != "BadSettings"
    assert is_open == attacked["namespaces"]


def test_what_forks_children_has_one_thread_with_everything_loaded(tmp_path: Path) -> None:
    draw(tmp_path / "page.png", "hello")
    reader = plugins.recogniser("auto", read_settings(scratch=tmp_path, auto_quality=1.0))
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    recognition = reader.recognise(tmp_path / "page.png", reader.identify(["eng"]))
    zygotes = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    assert "rapidocr" in recognition.pages[0].reason
    assert [each.num_threads() for each in zygotes] == [1] * (1 + confinement().namespaces)


def test_this_machine_grants_everything() -> None:
    """Else the tests above would show less than they say."""
    assert confinement().missing == ()
