"""The fault suite in short: six uploads, and one run killed while it recognises. `make faults` is the long form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.suite import SETTINGS, Suite
from tests.servers import S3Server
from tests.stack import Stack, new_stack


@pytest.fixture
def stack(tmp_path: Path, s3: S3Server, spark_server: str) -> Iterator[Stack]:
    with new_stack(tmp_path / "stack", s3, spark_server, **SETTINGS) as made:
        yield made


def test_whatever_is_lost_repeated_or_killed_each_upload_is_answered_once(stack: Stack) -> None:
    suite = Suite(stack, uploads=6, seed=6)
    result = suite.run([suite.kill_of_a_run("recognising", stack.machine.recognitions)], seconds=120)
    assert result.kills == 1
    assert result.is_good, [*result.table(), result.verdict()]
