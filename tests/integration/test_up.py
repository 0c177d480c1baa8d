"""What `make up` refuses, by its command in this process; tests/e2e/test_up.py brings everything up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.up.__main__ import main
from deployments.up.home import Home

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """The command changes the umask of its process, and what signals do."""
    umask, handlers = os.umask(0o022), {name: signal.getsignal(name) for name in STOPS}
    os.umask(umask)
    yield
    os.umask(umask)
    for name, handler in handlers.items():
        signal.signal(name, handler)


def test_a_folder_that_has_another_kind_of_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()
    assert main([str(tmp_path), "--store", "ceph"]) == 1
    assert "has a store already" in capsys.readouterr().err


def test_a_folder_that_is_up_already_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Home(tmp_path).locked():
        assert main([str(tmp_path), "--store", "folder"]) == 1
    assert "It is up already" in capsys.readouterr().err
