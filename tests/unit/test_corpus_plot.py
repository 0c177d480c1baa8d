"""The curve of the vocabulary's growth, as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from inktally.corpus.figures import Growth
from inktally.corpus.plot import BOTTOM, LEFT, RIGHT, TOP, growth_svg

SVG = "{http://www.w3.org/2000/svg}"
GROWTH = Growth(tokens=(223, 3000, 7385), distinct=(138, 920, 1725), factor=3.33, exponent=0.7)


def texts(growth: Growth) -> list[str]:
    picture = ET.fromstring(growth_svg(growth))  # noqa: S314 - our own
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def lines(growth: Growth, colour: str) -> list[list[tuple[float, float]]]:
    picture = ET.fromstring(growth_svg(growth))  # noqa: S314 - our own
    drawn = [line for line in picture.iter(f"{SVG}polyline") if line.get("stroke") == colour]
    return [
        [(float(x), float(y)) for x, _, y in (p.partition(",") for p in line.attrib["points"].split())]
        for line in drawn
    ]


def test_axes_have_round_numbers_and_the_legend_names_both_lines() -> None:
    said = texts(GROWTH)
    assert [text for text in said if text.endswith("000")] == [f"{n},000" for n in range(1, 8)] + ["1,000"]
    assert {"0", "250", "500", "750", "1,250", "1,500", "1,750"} <= set(said)
    assert {"distinct words", "Heaps: 3.33 · tokens^0.700", "Growth of the vocabulary"} <= set(said)


def test_the_curve_has_a_point_for_each_measured_one_from_the_origin_on() -> None:
    curve, _sample = lines(GROWTH, "#1f5f8b")
    assert len(curve) == 4
    assert curve[0] == (LEFT, BOTTOM)
    assert curve[-1][0] == pytest.approx(LEFT + (RIGHT - LEFT) / 1.04, abs=0.1)
    assert (curve[1][0] - LEFT) / (curve[-1][0] - LEFT) == pytest.approx(223 / 7385, abs=0.001)
    assert (BOTTOM - curve[2][1]) / (BOTTOM - curve[-1][1]) == pytest.approx(920 / 1725, abs=0.001)


@pytest.mark.parametrize(
    "growth",
    [
        Growth(),
        Growth(tokens=(1,), distinct=(1,)),
        Growth(tokens=(3,), distinct=(2,)),
        Growth(tokens=(10**6, 10**9), distinct=(10**5, 10**7), factor=40.0, exponent=0.65),
    ],
)
def test_everything_is_drawn_within_the_axes_with_at_most_nine_numbers_each(growth: Growth) -> None:
    for colour in ("#1f5f8b", "#c8553d"):
        for line in lines(growth, colour):
            assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in line)
    assert len([text for text in texts(growth) if text.replace(",", "").isdigit()]) <= 18
