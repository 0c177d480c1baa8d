"""Pages of rows, whose letters align sideways as well, are read alike whichever side is up: a short benchmark."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import orientation, rows


@pytest.fixture(scope="module", autouse=True)
def _fonts() -> None:
    try:
        rows.fonts()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_forty_pages_of_rows_are_read_alike_whichever_side_is_up() -> None:
    results = list(orientation.measured(40, seed=1, engine="tesseract", dpi=200, most_rows=21, on_a4=0.0))
    found = orientation.summary(results)
    assert (found["pages"], found["right"], found["upright_turned"]) == (40, 40, 0), found["wrong"]
    assert {each.quarters for each in results} == {0, 1, 2, 3}
    assert {each.kind for each in results} == set(rows.KINDS)
    assert sum(each.upright >= 0.8 for each in results) >= 38


def test_a_page_that_comes_out_otherwise_is_counted_as_wrong() -> None:
    right = orientation.Result(1, "list", 2, 0.9, 0.89, was_turned=False, history="")
    found = orientation.summary([right, right._replace(turned=0.87), right._replace(was_turned=True)])
    assert (found["pages"], found["right"], found["upright_turned"]) == (3, 1, 1)


def test_pages_of_different_seeds_differ_and_of_one_seed_do_not() -> None:
    texts = Counter(rows.page(seed, dpi=60, most_rows=25).text for seed in range(8))
    assert len(texts) == 8
    assert rows.page(3, dpi=60).text == rows.page(3, dpi=60).text
