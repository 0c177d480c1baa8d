"""The command line of failed pictures."""

from pathlib import Path

import pytest

from flows.commands.redrive import main
from inktally import plugins
from inktally.settings import Settings


def test_the_command_lists_what_failed_where_no_key_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = plugins.store(str(tmp_path), Settings(_env_file=None))
    store.put("failed/a.png", b"junk")
    assert main(lambda *_: pytest.fail("no run is wanted"), ["--store", str(tmp_path)]) == 0
    told = capfd.readouterr().out
    assert "failed/a.png" in told
    assert f"1 failed picture in {tmp_path}" in told
