"""What `make up` refuses, by its command in this process; tests/e2e/test_up.py brings everything up."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.up.__main__ import main
from deployments.up.home import Home


def test_a_folder_that_has_another_kind_of_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()
    assert main([str(tmp_path), "--store", "ceph"]) == 1
    assert "has a store already" in capsys.readouterr().err


def test_a_folder_that_is_up_already_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Home(tmp_path).locked():
        assert main([str(tmp_path), "--store", "folder"]) == 1
    assert "It is up already" in capsys.readouterr().err
