"""Set-up where it cannot install what is missing: it must stop and say what to type."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path("deployments/setup.sh")
BASICS = ("cat", "cksum", "dirname", "env", "grep", "readlink", "sed", "sh", "sort")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up reads, without an environment, beside a folder `bin` with neither apt nor tools."""
    (tmp_path / SCRIPT.parent).mkdir()
    for name in (SCRIPT, Path("deployments/uv.txt"), Path("pyproject.toml"), Path("uv.lock")):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for command in BASICS:
        found = shutil.which(command)
        assert found, command
        (tmp_path / "bin" / command).symlink_to(found)
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    write_command(tmp_path, "id", "echo 1000")
    return tmp_path


def set_up(checkout: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    command = [checkout / SCRIPT, *wanted]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def write_command(checkout: Path, name: str, script: str) -> None:
    with (checkout / "bin" / name).open("x") as command:
        command.write(f"#!/bin/sh\n{script}\n")
    (checkout / "bin" / name).chmod(0o755)


def test_missing_tools_are_named_with_the_commands_to_type(checkout: Path) -> None:
    ended = set_up(checkout)
    assert ended.returncode == 1
    assert "missing here: Tesseract with English, a Java runtime (17 or newer)" in ended.stderr
    assert "sudo apt-get install -y tesseract-ocr tesseract-ocr-eng default-jre-headless" in ended.stderr
    assert "sudo dnf install" in ended.stderr
    assert "brew install" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_a_tesseract_without_english_is_not_enough(checkout: Path) -> None:
    write_command(checkout, "tesseract", "echo deu; echo osd")
    assert "missing here: Tesseract with English" in set_up(checkout).stderr


def test_languages_that_cannot_be_had_are_named_and_do_not_stop_it(checkout: Path) -> None:
    write_command(checkout, "tesseract", "echo eng; echo deu; echo osd")
    write_command(checkout, "java", "echo 'openjdk version \"17.0.9\" 2023-10-17' >&2")
    write_command(checkout, "uv", "echo 'uv was called' >&2; exit 1")
    said = set_up(checkout).stderr
    assert "more languages: frk fra spa dan ces\n" in said
    assert "will not be read" in said
    assert "uv was called" in said


def test_languages_are_installed_with_apt(checkout: Path) -> None:
    write_command(checkout, "tesseract", "echo eng; echo fra; echo spa; echo dan; echo ces; echo osd")
    write_command(checkout, "java", "echo 'openjdk version \"17.0.9\" 2023-10-17' >&2")
    write_command(checkout, "uv", "exit 1")
    write_command(checkout, "sudo", 'shift; "$@"')
    write_command(checkout, "apt-get", 'echo "apt-get $*" >&2')
    write_command(checkout, "true", "exit 0")
    said = set_up(checkout).stderr
    assert "tesseract-ocr-deu tesseract-ocr-frk\n" in said
    assert "will not be read" not in said


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.25"])
def test_an_old_java_is_not_enough(checkout: Path, version: str) -> None:
    write_command(checkout, "tesseract", "echo eng")
    write_command(checkout, "java", f"echo 'openjdk version \"{version}\" 2024-10-15' >&2")
    assert "missing here: a Java runtime (17 or newer)" in set_up(checkout).stderr


def test_apt_without_the_right_to_use_it_ends_in_the_command_to_type(checkout: Path) -> None:
    write_command(checkout, "apt-get", "echo 'apt-get was called' >&2")
    write_command(checkout, "sudo", "exit 1")
    ended = set_up(checkout)
    assert ended.returncode == 1
    assert "apt-get was called" not in ended.stderr
    assert "sudo apt-get update && sudo apt-get install -y tesseract-ocr" in ended.stderr


@pytest.fixture
def equipped(checkout: Path) -> Path:
    """One in which Tesseract, Java and uv are there; uv writes down what it was asked for."""
    (checkout / "deployments" / "class_data.py").touch()
    write_command(
        checkout, "tesseract", "echo eng; echo deu; echo frk; echo fra; echo spa; echo dan; echo ces; echo osd"
    )
    write_command(checkout, "java", "echo 'openjdk version \"17.0.9\" 2023-10-17' >&2")
    made = "/bin/mkdir -p .venv/bin && /bin/ln -sf /bin/true .venv/bin/python"
    write_command(checkout, "uv", f'case $* in *--help*) ;; *) echo "$*" >>asked; {made} ;; esac')
    return checkout


def asked_of_uv(checkout: Path) -> list[str]:
    asked = checkout / "asked"
    return asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize(
    ("wanted", "packages"),
    [
        ([], "--no-dev --compile"),
        (["page"], "--no-dev --extra page --compile"),
        (["up"], "--no-dev --extra up --compile"),
        (["dev"], "--locked --compile"),
    ],
)
def test_only_what_is_wanted_is_installed(equipped: Path, wanted: list[str], packages: str) -> None:
    assert set_up(equipped, *wanted).returncode == 0
    (asked,) = asked_of_uv(equipped)
    assert packages in asked


def test_each_step_is_said_and_nothing_when_there_is_nothing_to_do(equipped: Path) -> None:
    said = set_up(equipped).stderr
    assert "making the Python environment in .venv (" in said
    assert "GB to fetch" in said
    assert "preparing Spark to start faster (" in said
    again = set_up(equipped)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_what_was_set_up_once_stays(equipped: Path) -> None:
    set_up(equipped, "dev")
    set_up(equipped)
    set_up(equipped, "up")
    assert len(asked_of_uv(equipped)) == 1
    with (equipped / "pyproject.toml").open("a") as changed:
        changed.write("# changed\n")
    set_up(equipped)
    first, second = asked_of_uv(equipped)
    assert first == second


def test_more_is_added_when_it_is_wanted(equipped: Path) -> None:
    set_up(equipped)
    set_up(equipped, "up")
    first, second = asked_of_uv(equipped)
    assert "--extra" not in first
    assert "--extra up" in second


def test_an_unknown_purpose_is_wrong_usage(checkout: Path) -> None:
    ended = set_up(checkout, "everything")
    assert ended.returncode == 2
    assert "usage:" in ended.stderr
