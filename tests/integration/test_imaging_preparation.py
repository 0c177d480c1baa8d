"""Pages drawn here, spoiled in known ways, and what preparation makes of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inktally.document import Box, Step
from inktally.imaging.glyphs import glyphs, grey, ink
from inktally.imaging.lines import level
from inktally.imaging.mapping import Mapping
from inktally.imaging.page import PageImage
from inktally.imaging.preparation import Prepared, prepare

Pixels = NDArray[np.uint8]

PROSE = """The harbour lay quiet before the morning boats came in.
Along the quay the nets were hung to dry between the posts,
and a grey cat walked from one to the next, as it had every
day of that long summer, looking for what the gulls had left.
Nobody had swept the steps since the feast, so that paper
flags and the stalks of flowers still lay about the door of
the custom house. A clerk came by, opened his ledger on the
wall, and began to count the barrels which stood there in
rows of seven; he wrote each figure twice, once for himself
and once for the master, and blew upon the ink. Then a bell
rang from the hill. He shut the book with a snap, put the
pen behind his ear and went up the lane by the chapel, where
the bread was being brought out, brown and still too hot to
hold, on long boards carried between two boys and a girl."""


def page_of_prose(size: int = 36, lines: int = 16) -> Pixels:
    """An upright grey page, black on white, with letters of `size` pixels to the em."""
    text = "\n".join((PROSE.splitlines() * 3)[:lines])
    font = ImageFont.load_default(size)
    picture = Image.new("L", (size * 34, round(size * 1.5 * lines + size * 5)), "white")
    ImageDraw.Draw(picture).multiline_text((size * 2.5, size * 2.5), text, fill=0, font=font, spacing=size * 0.35)
    return np.array(picture)


def rotated(pixels: Pixels, degrees: float) -> Pixels:
    """On a larger sheet, its lines falling to the right by so many degrees."""
    picture = Image.fromarray(pixels)
    return np.array(picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255))


def bent(pixels: Pixels, strength: float) -> Pixels:
    """Like the page of a thick book: lines rise towards the right, the more so the lower they are."""
    height, width = pixels.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    rise = strength * height * (x / width) ** 2 * (0.3 + 0.7 * y / height)
    return cv2.remap(pixels, x, (y + rise).astype(np.float32), cv2.INTER_LINEAR, borderValue=255)  # type: ignore[return-value]


def steps_of(prepared: Prepared) -> list[str]:
    return [step.name for step in prepared.steps]


def parameter(prepared: Prepared, step: str, name: str) -> float:
    return float(next(one for one in prepared.steps if one.name == step).parameters[name])


def slant(pixels: Pixels) -> float:
    return level(glyphs(ink(grey(pixels)))).degrees


def test_a_clean_page_comes_back_with_the_same_pixels() -> None:
    clean = page_of_prose()
    prepared = prepare(PageImage(clean, dpi=300))
    assert steps_of(prepared) == ["measure"]
    assert np.array_equal(prepared.image.pixels, clean)
    assert prepared.image.dpi == 300


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_page_on_its_side_or_on_its_head_is_put_upright_without_loss(quarters: int) -> None:
    upright = page_of_prose()
    prepared = prepare(PageImage(np.ascontiguousarray(np.rot90(upright, quarters)), dpi=300))
    assert steps_of(prepared) == ["measure", "turn"]
    assert np.array_equal(prepared.image.pixels, upright)


@pytest.mark.parametrize("degrees", [-12, -4.3, -1, 0.6, 2, 7.7])
def test_the_angle_of_a_skewed_page_is_told_within_a_third_of_a_degree(degrees: float) -> None:
    prepared = prepare(PageImage(rotated(page_of_prose(), degrees), dpi=300))
    assert steps_of(prepared) == ["measure", "deskew"]
    assert parameter(prepared, "deskew", "degrees") == pytest.approx(degrees, abs=0.3)
    assert abs(slant(prepared.image.pixels)) < 0.3


def test_a_page_both_skewed_and_upside_down_is_put_right() -> None:
    prepared = prepare(PageImage(rotated(page_of_prose(), 183), dpi=300))
    assert steps_of(prepared) == ["measure", "turn", "deskew"]
    assert abs(slant(prepared.image.pixels)) < 0.3


def marked(pixels: Pixels, x: int, y: int) -> tuple[Pixels, Box]:
    """A page with a black square of 30 pixels, larger than any letter, and where it is."""
    pixels = pixels.copy()
    pixels[y : y + 30, x : x + 30] = 0
    return pixels, Box(left=x, top=y, width=30, height=30)


def blot(pixels: Pixels) -> Box:
    """Where the largest piece of solid black is."""
    solid = cv2.erode((pixels < 128).astype(np.uint8), np.ones((9, 9), np.uint8))
    _, _, found, _ = cv2.connectedComponentsWithStats(solid)
    left, top, width, height, _ = (int(value) for value in max(found[1:], key=lambda one: one[4]))
    return Box(left=left - 4, top=top - 4, width=width + 8, height=height + 8)


def spoiled(name: str, pixels: Pixels) -> Pixels:
    return {
        "turned": lambda: np.ascontiguousarray(np.rot90(pixels, 3)),
        "skewed": lambda: rotated(pixels, 3),
        "turned and skewed": lambda: np.ascontiguousarray(np.rot90(rotated(pixels, -2), 1)),
        "small": lambda: np.array(Image.fromarray(pixels).reduce(3)),
        "bent": lambda: bent(pixels, 0.08),
    }[name]()


@pytest.mark.parametrize("fault", ["turned", "skewed", "turned and skewed", "small", "bent"])
def test_boxes_lead_back_to_where_things_are_on_the_page_that_came_in(fault: str) -> None:
    page, _ = marked(page_of_prose(), 150, 36 * 22)
    came_in = spoiled(fault, page)
    prepared = prepare(PageImage(came_in, dpi=0))
    assert len(prepared.steps) > 1
    expected, found = blot(came_in), prepared.to_original.box(blot(prepared.image.pixels))
    centre = (found.left + found.width / 2, found.top + found.height / 2)
    assert centre == pytest.approx((expected.left + expected.width / 2, expected.top + expected.height / 2), abs=3)
    assert found.width <= expected.width * 1.3 + 3


def test_a_mapping_is_the_same_after_a_round_trip_through_json() -> None:
    prepared = prepare(PageImage(bent(rotated(page_of_prose(), 2), 0.08), dpi=0))
    mapping = prepared.to_original
    assert [Step.model_validate_json(step.model_dump_json()) for step in prepared.steps] == list(prepared.steps)
    again = Mapping.model_validate_json(mapping.model_dump_json())
    box = Box(left=300, top=400, width=120, height=40)
    assert mapping.stages
    assert again == mapping
    assert again.box(box) == mapping.box(box)


def test_boxes_beyond_the_edge_are_clipped_to_the_page_that_came_in() -> None:
    skewed = rotated(page_of_prose(), 3)
    prepared = prepare(PageImage(skewed, dpi=300))
    box = prepared.to_original.box(Box(left=-50, top=-50, width=4000, height=4000))
    assert (box.left, box.top) == (0, 0)
    assert (box.width, box.height) == (skewed.shape[1], skewed.shape[0])


def test_light_text_on_a_dark_page_is_inverted() -> None:
    clean = page_of_prose()
    prepared = prepare(PageImage(255 - clean, dpi=300))
    assert steps_of(prepared) == ["measure", "invert"]
    assert np.array_equal(prepared.image.pixels, clean)


@pytest.mark.parametrize(("stated", "expected"), [(0, 300), (1, 300), (72, 300), (9600, 300), (250, 250)])
def test_resolution_is_estimated_where_the_file_states_none_or_an_absurd_one(stated: int, expected: int) -> None:
    eleven_points = round(11 / 72 * 300)
    prepared = prepare(PageImage(page_of_prose(eleven_points, lines=20), dpi=stated))
    assert prepared.image.dpi == pytest.approx(expected, rel=0 if stated == expected else 0.25)


def test_small_text_is_enlarged_and_its_resolution_with_it() -> None:
    small = page_of_prose(14)
    prepared = prepare(PageImage(small, dpi=0))
    factor = parameter(prepared, "scale", "factor")
    assert 1.5 < factor < 4
    assert prepared.image.width == pytest.approx(small.shape[1] * factor, abs=2)
    assert prepared.image.dpi == pytest.approx(300, rel=0.3)


def test_huge_text_is_reduced() -> None:
    prepared = prepare(PageImage(page_of_prose(130, lines=5), dpi=0))
    assert parameter(prepared, "scale", "factor") < 0.6


def test_lines_of_a_bent_page_are_straightened() -> None:
    page = page_of_prose()
    prepared = prepare(PageImage(bent(page, 0.1), dpi=300))
    assert "dewarp" in steps_of(prepared)
    again = prepare(prepared.image)
    assert steps_of(again) == ["measure"]
    assert parameter(again, "measure", "sharpness") > 0.8 * parameter(prepare(PageImage(page)), "measure", "sharpness")


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (20_000, 7), (900, 700), (64, 64, 3)])
@pytest.mark.parametrize("content", ["white", "black", "noise"])
def test_pages_without_text_come_back_as_they_are(shape: tuple[int, ...], content: str) -> None:
    random = np.random.default_rng(7)
    pixels = {
        "white": np.full(shape, 255, np.uint8),
        "black": np.zeros(shape, np.uint8),
        "noise": random.integers(0, 255, shape, np.uint8),
    }[content]
    prepared = prepare(PageImage(pixels))
    assert np.array_equal(prepared.image.pixels, pixels) or "denoise" in steps_of(prepared)
    assert prepared.to_original.box(Box(left=0, top=0, width=1, height=1)) == Box(left=0, top=0, width=1, height=1)


def test_a_page_that_only_stands_on_its_head_is_turned_and_keeps_every_pixel() -> None:
    page = page_of_prose()
    prepared = prepare(PageImage(np.ascontiguousarray(np.rot90(page, 2)), dpi=300))
    assert steps_of(prepared) == ["measure", "turn"]
    assert np.array_equal(prepared.image.pixels, page)


def salted(pixels: Pixels, share: float) -> Pixels:
    """With so large a share of its pixels white or black."""
    chance = np.random.default_rng(5).random(pixels.shape)
    return np.where(chance < share / 2, 0, np.where(chance > 1 - share / 2, 255, pixels)).astype(np.uint8)


def shaded(pixels: Pixels) -> Pixels:
    """Lit from the left, a third as bright on the right."""
    light = np.linspace(1, 0.33, pixels.shape[1])
    return (pixels * 0.9 * light).astype(np.uint8)


def blackened(pixels: Pixels) -> Pixels:
    """As an engine with one threshold for the whole page sees it."""
    _, black = cv2.threshold(pixels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.asarray(black, dtype=np.uint8)


def wrong(found: Pixels, truth: Pixels) -> float:
    """The share of pixels that are black on one and white on the other, over those that ought to be black."""
    ink_of_truth = blackened(truth) == 0
    return float(np.mean((blackened(found) == 0) != ink_of_truth) / np.mean(ink_of_truth))


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_salt_and_pepper_are_taken_off(share: float) -> None:
    clean = page_of_prose()
    noisy = salted(clean, share)
    prepared = prepare(PageImage(noisy, dpi=300))
    assert steps_of(prepared) == ["measure", "denoise"]
    assert wrong(prepared.image.pixels, clean) < 0.2
    assert wrong(prepared.image.pixels, clean) < 0.7 * wrong(noisy, clean)


def test_grain_is_smoothed() -> None:
    clean = page_of_prose()
    grain = np.random.default_rng(5).normal(0, 60, clean.shape)
    noisy = np.clip(clean * 0.6 + 50 + grain, 0, 255).astype(np.uint8)
    prepared = prepare(PageImage(noisy, dpi=300))
    assert "denoise" in steps_of(prepared)
    assert wrong(prepared.image.pixels, clean) < 0.5 * wrong(noisy, clean)


def test_dots_of_small_letters_are_not_taken_for_noise() -> None:
    small = np.array(Image.fromarray(page_of_prose()).resize((408, 530), Image.Resampling.NEAREST))
    assert "denoise" not in steps_of(prepare(PageImage(small)))


def test_uneven_light_is_made_even() -> None:
    clean = page_of_prose()
    dim = shaded(clean)
    prepared = prepare(PageImage(dim, dpi=300))
    assert steps_of(prepared) == ["measure", "even light"]
    assert wrong(dim, clean) > 1
    assert wrong(prepared.image.pixels, clean) < 0.1


def test_a_faint_skewed_page_is_levelled_like_a_strong_one() -> None:
    faint = (rotated(page_of_prose(), 2).astype(float) * 0.15 + 170).astype(np.uint8)
    prepared = prepare(PageImage(faint, dpi=300))
    assert parameter(prepared, "deskew", "degrees") == pytest.approx(2, abs=0.3)


def test_a_colour_page_stays_in_colour_when_it_is_levelled() -> None:
    page = np.stack([rotated(page_of_prose(), 2)] * 3, axis=-1)
    page[..., 2] = page[..., 2] // 2 + 100
    prepared = prepare(PageImage(page, dpi=300))
    assert prepared.image.pixels.ndim == 3
    assert np.median(prepared.image.pixels[..., 0]) > np.median(prepared.image.pixels[..., 2])


def test_a_page_photographed_aslant_gets_level_lines() -> None:
    page = page_of_prose()
    height, width = page.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array([[width * 0.1, height * 0.06], [width * 0.96, 0], [width, height], [0, height * 0.9]], np.float32)
    aslant = cv2.warpPerspective(page, cv2.getPerspectiveTransform(corners, seen), (width, height), borderValue=255)
    prepared = prepare(PageImage(np.asarray(aslant, dtype=np.uint8), dpi=300))
    assert "dewarp" in steps_of(prepared)
    assert steps_of(prepare(prepared.image)) == ["measure"]


def test_a_slight_stain_is_left_alone() -> None:
    page = page_of_prose()
    page[:, 600:900] = (page[:, 600:900] * 0.85).astype(np.uint8)
    assert steps_of(prepare(PageImage(page, dpi=300))) == ["measure"]
