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
    for name in (SCRIPT, Path("pyproject.toml"), Path("uv.lock")):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for command in BASICS:
        found = shutil.which(command)
        assert found, command
        (tmp_path / "bin" / command).symlink_to(found)
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    write_command(tmp_path, "id", "echo 1000")
    return tmp_path


def set_up(checkout: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    return subprocess.run([checkout / SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=60)


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
