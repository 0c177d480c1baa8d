"""The verdict of the fault suite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.result import Result

FINE = Result(uploads=6, contents=4, committed=4, started=5, kills=1, mails=7, repeated=1, delays=0)


def test_what_a_kill_costs_is_forgiven() -> None:
    assert FINE.is_good
    assert FINE.verdict().startswith(
        "good: 6 uploads, recognitions committed 4 of 4 contents, started 5 <= 4 + 1 kills"
    )


@pytest.mark.parametrize(
    "wrong",
    [{"lost": 1}, {"doubled": 1}, {"early": 1}, {"committed": 3}, {"started": 6}, {"missed": ["kill -9 of a run"]}],
    ids=str,
)
def test_anything_lost_doubled_early_read_twice_or_never_broken_is_bad(wrong: dict[str, object]) -> None:
    assert replace(FINE, **wrong).verdict().startswith("BAD: ")
