"""Light letters on dark parts of a page are found, and nothing else is taken for them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally.imaging.glyphs import Grey
from inktally.imaging.panels import inverted, panels
from tests.support.layers import SANS, SERIF, scan

Rectangle = tuple[int, int, int, int]
TEXT = "Name of the item        Price      Total"


def page(*dark: Rectangle, font: str = SANS, size: int = 24) -> Grey:
    """A page of dark lines, with these parts printed light on dark."""
    made = Image.new("L", (1240, 1000), 245)
    draw, letters = ImageDraw.Draw(made), ImageFont.truetype(font, size)
    for top in range(20, 980, 48):
        draw.text((60, top), TEXT, fill=20, font=letters)
    for left, top, right, bottom in dark:
        draw.rectangle((left, top, right, bottom), fill=40)
        for line in range(top + 6, bottom - size, 48):
            draw.text((left + 10, line), TEXT[: (right - left) // 16], fill=250, font=letters)
    return np.asarray(made).copy()


@pytest.mark.parametrize("font", [SANS, SERIF])
@pytest.mark.parametrize("dark", [(40, 100, 1200, 140), (0, 0, 500, 999), (600, 300, 900, 600)])
def test_a_head_and_a_pane_become_dark_on_light(dark: Rectangle, font: str) -> None:
    made = page(dark, font=font)
    mask = panels(made)
    assert mask is not None
    left, top, right, bottom = dark
    inside = mask[top + 3 : bottom - 3, left + 3 : right - 3]
    assert inside.all()
    assert mask.sum() < 1.1 * (right - left + 1) * (bottom - top + 1)
    assert np.median(inverted(made, mask)[top:bottom, left:right]) > 200


def test_a_page_of_plain_letters_has_none() -> None:
    for made in (page(), np.asarray(scan())):
        assert panels(made) is None


def test_bars_pictures_and_frames_are_none() -> None:
    made = Image.fromarray(page())
    draw = ImageDraw.Draw(made)
    draw.rectangle((40, 100, 1200, 140), fill=0)  # a bar without letters
    draw.rectangle((40, 500, 1200, 800), outline=0, width=5)
    made.paste(Image.effect_noise((300, 200), 120), (700, 200))
    assert panels(np.asarray(made)) is None
