"""The fault suite in short: six uploads, one run killed while it recognises, and a store that fails now and then.

`make faults` is the long form.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.faults.suite import Suite, new_suite
from tests.support.proxy import Fate
from tests.support.servers import S3Server

pytestmark = pytest.mark.long


@pytest.fixture
def suite(tmp_path: Path, s3: S3Server, spark_server: str) -> Iterator[Suite]:
    with new_suite(tmp_path / "stack", s3, spark_server, uploads=6, seed=6) as made:
        yield made


def test_whatever_is_lost_repeated_or_killed_each_upload_is_answered_once(suite: Suite) -> None:
    faults = [
        suite.faults.store_in_trouble("503 and resets", HTTPStatus.SERVICE_UNAVAILABLE, Fate.RESET, Fate.LOST),
        suite.faults.kill_of_a_run_after("recognised"),
    ]
    result = suite.run(faults, seconds=120)
    assert result.kills == 1
    assert result.failed > 0
    assert result.is_good, [*result.table(), result.verdict()]
