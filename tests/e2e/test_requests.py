"""How much a run asks of the store, of Prefect and of Spark. Its own figures: python -m benchmarks.requests."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import pytest

from tests.support.machine import Machine, draw
from tests.support.servers import S3Server

PAGES = 4


def counted(machine: Machine, bucket: str, *keys: str) -> Counter[str]:
    """Requests of a run, by whom they were sent to."""
    machine.command = (sys.executable, "-m", "benchmarks.requests", "--run", "uploads", f"s3://{bucket}")
    run = machine.run(*keys)
    assert run.status == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    sums: Counter[str] = Counter()
    for what, number in found.items():
        sums[what.partition(" ")[0]] += number
    return sums


@pytest.fixture
def pages(s3: S3Server, request: pytest.FixtureRequest) -> tuple[Machine, str, list[str]]:
    machine: Machine = request.getfixturevalue("connected")  # after the server, whose credentials it inherits
    machine.environment["INKTALLY_S3_ENDPOINT"] = s3.endpoint
    bucket, keys = s3.new_bucket(), [f"input/{number}.png" for number in range(PAGES + 2)]
    for number, key in enumerate(keys):
        content = draw(machine.folder / "page.png", f"page {max(number, 1)}").read_bytes()  # the first comes twice
        s3.client.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"email": "anna@example.org"})
    return machine, bucket, keys


def test_new_pictures_known_ones_and_groups_ask_for_little(pages: tuple[Machine, str, list[str]]) -> None:
    machine, bucket, (new, known, *group) = pages
    counted(machine, bucket, group.pop())  # what is found out about a bucket is known from now on
    found = counted(machine, bucket, new)
    assert found["store"] <= 24, found
    assert found["prefect"] <= 13, found
    found = counted(machine, bucket, known)
    assert found["store"] <= 23, found
    assert found["spark"] == 0, found
    found = counted(machine, bucket, *group)
    assert found["store"] <= 23.5 * len(group), found
    assert found["prefect"] <= 14 + len(group) / 2, found
