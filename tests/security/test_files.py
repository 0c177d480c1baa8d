"""What is written is for its owner alone, and no secret is where others can read it."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deployments.up import ceph, postgres
from deployments.up.home import Home
from deployments.up.stack import Stack
from inktally import plugins
from inktally.delivery import Upload
from inktally.mail.letters import delay_mail
from inktally.mail.links import signer
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from tests.support.paper import picture
from tests.support.servers import new_home
from web.hooks import dead_letters


@pytest.fixture(autouse=True)
def _of_a_careless_process() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def use_all(folder: Path, **others: Any) -> None:
    """Write everything that a service writes into folders."""
    given = {"store": str(folder / "a" / "store"), "mail_folder": str(folder / "b" / "mail"), "cache": folder / "cache"}
    settings = Settings(_env_file=None, **(given | others))
    store = plugins.store(settings.store, settings)
    put = store.put("input/web/x/a.png", b"words", metadata={"email": "anna@example.org"})
    store.put("a/../b", b"words")  # at no path of its own
    store.copy(put, "archive/a.png")
    for found in list(store.list("")):
        assert store.read(found.key) == b"words"
    (Path(settings.store) / "input" / "dropped.png").write_bytes(b"by somebody")
    store.stat("input/dropped.png")
    plugins.source(str(folder / "a" / "store"), settings).stat("input/dropped.png")
    plugins.notifier(settings).send(delay_mail("a@b.org", "c@d.org", "<1@d.org>", Upload(key="input/a.png")))
    signer(settings).sign("form", "x")
    dead_letters.keep(folder / "letters", b"{}", "because")
    with scratch_folder(folder / "scratch") as scratch:
        (scratch / "picture").write_bytes(b"")


def modes(folder: Path, *, but: str = "") -> set[str]:
    paths = [path for path in folder.rglob("*") if path.name != but and "scratch-" not in str(path)]
    return {f"{'/' if path.is_dir() else ''}{stat.S_IMODE(path.stat().st_mode):o}" for path in paths}


def test_folders_and_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    use_all(tmp_path)
    assert modes(tmp_path, but="dropped.png") == {"/700", "600"}


def test_a_setting_lets_a_group_in(tmp_path: Path) -> None:
    use_all(tmp_path, umask="027")
    assert modes(tmp_path / "a", but="dropped.png") == {"/750", "640"}
    assert modes(tmp_path / "b") == {"/750", "640"}


def test_a_folder_that_somebody_has_made_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a" / "store").mkdir(parents=True, mode=0o775)
    use_all(tmp_path)
    assert stat.S_IMODE((tmp_path / "a" / "store").stat().st_mode) == 0o775
    assert stat.S_IMODE((tmp_path / "a" / "store" / "input").stat().st_mode) == 0o700


def test_the_folder_of_make_up_is_closed_also_where_an_earlier_version_left_it_open(tmp_path: Path) -> None:
    made = Home(tmp_path / "up")
    (made.folder / "mail").mkdir(parents=True, mode=0o755)
    with made.locked():
        made.write_environment({"A": made.secret("hook")})
        assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made.folder.iterdir()} == {
            "mail": 0,
            "logs": 0,
            "secrets": 0,
            "lock": 0o066,
            "environment": 0,
        }
        assert stat.S_IMODE(made.folder.stat().st_mode) & 0o066 == 0


def test_no_command_of_make_up_has_a_secret_among_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Sequence[str | Path]] = []

    def run(command: Sequence[str | Path], **_options: Any) -> subprocess.CompletedProcess[str]:
        said.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="v=7.0", stderr="")

    with new_home("secrets") as found:
        stack = Stack(found, "folder", "process", "you@example.com")
        cluster = ceph.Ceph(found, stack.hook)
        database = postgres.Postgres(found, Path("/usr/bin"))
        secrets = [found.secret(name) for name in ("hook", "site", "s3", "postgres", "redis", "inbox", "spark")]
        secrets.append(found.secret("prefect", user="inktally").partition(":")[2])
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "run", run)
            cluster.make_user()
            patched.setattr(Path, "rename", lambda path, _target: path)
            (found.folder / "postgres").mkdir(exist_ok=True)
            database.prepare()
        services = [service for stage in stack.stages().values() for service in stage]
        services += [cluster.monitor(), cluster.disk(), cluster.gateway(), database.service()]
        said += [service.command for service in services]
        assert len(said) > len(services)
        arguments = " ".join(str(argument) for command in said for argument in command)
        assert not [secret for secret in secrets if secret in arguments]
        assert stat.S_IMODE((found.folder / "secrets" / "s3").stat().st_mode) == 0o600


def test_a_child_reads_its_picture_under_a_strict_umask_too(tmp_path: Path) -> None:
    """It is another user where we are root."""
    os.umask(0o077)
    recogniser = plugins.recogniser("tesseract", Settings(_env_file=None, scratch=tmp_path, recognition_workers=1))
    picture("Hello").save(tmp_path / "page.png")
    read = recogniser.recognise(tmp_path / "page.png", recogniser.identify(["eng"]))
    assert [word.text for word in read.words] == ["Hello"]
