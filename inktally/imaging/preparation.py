"""A page as it came in becomes a page that engines read well: measured first, then only what the measures ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np

from inktally.document import Step
from inktally.imaging.condition import LIGHT_INK, UNEVEN, Noise, denoised, evened, evenness, noise, paper, skewness
from inktally.imaging.glyphs import Boxes, Components, Glyphs, Grey, among, brought_near, components, grey, ink
from inktally.imaging.initials import Measured, lowered
from inktally.imaging.lines import curvature
from inktally.imaging.mapping import Bend, Mapping, Plane, levelling, moved, quarter_turn, rendered
from inktally.imaging.orientation import Orientation, orientation, turned_so
from inktally.imaging.page import PageImage
from inktally.imaging.panels import inverted, panels

LEVEL_ENOUGH = 0.3  # degrees; engines do not mind less
NOT_WORSE = 0.9  # factor by which lines may become less sharp when noise is taken off
TINY = 6.0  # pixels; nobody reads what is smaller, and what is taken for it is mostly noise
MOST_PIXELS, LONGEST_SIDE = 40_000_000, 32_000  # of an enlarged page; more than the latter OpenCV does not warp
STRAIGHT_ENOUGH = 0.12  # letter sizes that lines may stray, root mean square
WORTH_IT = 1.15  # factor by which lines must become sharper
WELL_TOLD = 0.1  # letter sizes; where feet are farther from the lines than this, these are not believed
GLYPH_AT_300_DPI = 21.0  # pixels; about the height of an x of 10 to 11 points
SMALL, LARGE, IDEAL = 14.0, 48.0, 24.0  # pixels of a letter below and above which a page is scaled, and to which


@dataclass(frozen=True)
class Prepared:
    """A page made ready, what was done to it in this order, and the way back to the page that came in."""

    image: PageImage
    steps: tuple[Step, ...]
    to_original: Mapping
    letters: Boxes | None = None
    """The boxes of what looks like letters, where they were measured on these very pixels."""
    turns: tuple[int, ...] = (0,)
    """By how many quarters it was turned, and may have to be instead, likeliest first; mostly there is no doubt."""

    @classmethod
    def of(cls, page: PageImage) -> Prepared:
        """The page as it came in."""
        return cls(page, (), Mapping(width=page.width, height=page.height))


@dataclass(frozen=True)
class _Look:
    """What is measured of a page, brought to `scale`, grey, with dark ink."""

    scale: float
    inverted: bool
    components: Components
    glyphs: Glyphs
    paper: Grey
    light: float
    upright: Orientation
    panels: Grey | None

    @property
    def size(self) -> float:
        """Of a letter in pixels of the page that came in; 0: unknown."""
        return self.glyphs.size / self.scale


def prepare(page: PageImage, quarters: int | None = None) -> Prepared:
    """Clean, turn, level, straighten and scale the page as far as it needs it; a clean page keeps its pixels.

    It is turned by so many quarters anticlockwise, or as seems best. All of this takes for granted that letters stand
    apart, as those of Latin do: whether it helped is seen when the page is read.
    """
    prepared, found, look = Prepared.of(page), noise(grey(page.pixels)), _look(page, quarters)
    if found.remedy:
        prepared, look = _denoised(prepared, look, found.remedy, quarters)
    steps = [_measurement(look, _dpi(page, look.size), found)]
    if look.inverted:
        prepared = _then(prepared, replace(prepared.image, pixels=255 - prepared.image.pixels), [Step(name="invert")])
    if look.panels is not None:
        pixels = inverted(prepared.image.pixels, look.panels)
        prepared = _then(prepared, replace(prepared.image, pixels=pixels), [Step(name="invert panels")])
    if look.light < UNEVEN:
        prepared = _evened(prepared, look)
    if look.upright.quarters:
        prepared = _turned(prepared, look.upright.quarters, certainty=round(look.upright.certainty, 2))
    prepared = _straightened(prepared, look)
    factor = next((float(step.parameters["factor"]) for step in prepared.steps if step.name == "scale"), 1.0)
    measured = Measured(look.components, look.scale) if prepared.image.pixels is page.pixels else None
    without_initials = lowered(prepared.image.pixels, look.size * factor, measured)
    if without_initials is not None:
        step = Step(name="lower initials")
        prepared = _then(prepared, replace(prepared.image, pixels=without_initials), [step])
    image = replace(prepared.image, dpi=round(_dpi(page, look.size) * factor))
    letters = look.glyphs.boxes / np.float32(look.scale) if image.pixels is page.pixels else None
    turns = (look.upright.quarters, *look.upright.others)
    return replace(prepared, image=image, steps=(*steps, *prepared.steps), letters=letters, turns=turns)


def turned(page: PageImage, quarters: int) -> Prepared:
    """The page with nothing done to it but that: turned by so many quarters anticlockwise."""
    return replace(_turned(Prepared.of(page), quarters), turns=(quarters,)) if quarters else Prepared.of(page)


def _look(page: PageImage, quarters: int | None) -> _Look:
    near, scale = brought_near(grey(page.pixels))
    is_light = skewness(near) > LIGHT_INK
    if is_light:
        near = 255 - near
    turned = panels(near)
    if turned is not None:
        near = inverted(near, turned)
    mask = ink(near)
    found = components(mask)
    letters = among(found, *mask.shape)
    ground = paper(near, letters.size) if letters else near
    light = evenness(ground, letters)
    upright = orientation(near, letters) if quarters is None else turned_so(letters, quarters)
    return _Look(scale, is_light, found, letters, ground, light, upright, turned)


def _measurement(look: _Look, dpi: int, found: Noise) -> Step:
    return Step(
        name="measure",
        parameters={
            "letters": len(look.glyphs),
            "letter_size": round(look.size, 1),
            "dpi": dpi,
            "skew": round(look.upright.level.degrees, 2),
            "sharpness": round(look.upright.level.sharpness, 2),
            "specks": round(found.specks, 5),
            "grain": round(found.grain, 1),
            "evenness": round(look.light, 2),
        },
    )


def _dpi(page: PageImage, size: float) -> int:
    """What the file states where letters would then be of 5 to 22 points, else what its letters suggest; 0: unknown."""
    suggested = 300 * size / GLYPH_AT_300_DPI
    if page.dpi and (not suggested or suggested / 2 < page.dpi < suggested * 2):
        return page.dpi
    return round(suggested)


def _then(prepared: Prepared, image: PageImage, steps: Sequence[Step], stages: Sequence[Plane | Bend] = ()) -> Prepared:
    mapping = reduce(Mapping.then, stages, prepared.to_original)
    return Prepared(image, (*prepared.steps, *steps), mapping)


def _denoised(
    prepared: Prepared, look: _Look, remedy: Literal["median", "blur"], quarters: int | None
) -> tuple[Prepared, _Look]:
    """Without noise, unless the lines are lost with it: the dots of small letters look like noise."""
    image = replace(prepared.image, pixels=denoised(prepared.image.pixels, remedy))
    again = _look(image, quarters)
    if again.upright.level.sharpness < NOT_WORSE * look.upright.level.sharpness:
        return prepared, look
    return _then(prepared, image, [Step(name="denoise", parameters={"by": remedy})]), again


def _evened(prepared: Prepared, look: _Look) -> Prepared:
    pixels = evened(grey(prepared.image.pixels), look.paper)
    step = Step(name="even light", parameters={"evenness": round(look.light, 2)})
    return _then(prepared, replace(prepared.image, pixels=pixels), [step])


def _turned(prepared: Prepared, quarters: int, **told: float) -> Prepared:
    """Quarter turns move pixels and change none."""
    image = prepared.image
    pixels = np.ascontiguousarray(np.rot90(image.pixels, quarters))
    step = Step(name="turn", parameters={"degrees": 90 * quarters, **told})
    back = quarter_turn(image.width, image.height, quarters)
    return _then(prepared, replace(image, pixels=pixels), [step], [back])


def _straightened(prepared: Prepared, look: _Look) -> Prepared:
    """Level and straight lines, and letters of a fair size, in one resampling."""
    image, steps = prepared.image, []
    lines, quarters = look.upright.level, look.upright.quarters
    degrees = lines.degrees if lines.believed and abs(lines.degrees) > LEVEL_ENOUGH else 0.0
    factor = _scale(image, look.size) if lines.believed else 1.0
    back, width, height = levelling(image.width, image.height, degrees, factor)
    stages: list[Plane | Bend] = [back]
    curve = curvature(moved(look.glyphs.turned(quarters), back, look.scale, factor))
    if degrees:
        steps.append(Step(name="deskew", parameters={"degrees": round(degrees, 2)}))
    if factor != 1.0:
        steps.append(Step(name="scale", parameters={"factor": round(factor, 3)}))
    if curve and curve.strength > STRAIGHT_ENOUGH and curve.fit < WELL_TOLD and curve.gain > WORTH_IT:
        stages.append(curve.bend(width, height))
        steps.append(Step(name="dewarp", parameters={"strength": round(curve.strength, 2), "fit": round(curve.fit, 3)}))
    if not steps:
        return prepared
    pixels = rendered(image.pixels, stages, width, height, factor)
    return _then(prepared, replace(image, pixels=pixels), steps, stages)


def _scale(page: PageImage, size: float) -> float:
    """By which letters of that size become of a fair one, as far as the page does not grow too large."""
    if size < TINY or SMALL <= size <= LARGE:
        return 1.0
    room = min(math.sqrt(MOST_PIXELS / (page.width * page.height)), LONGEST_SIDE / max(page.width, page.height))
    return min(IDEAL / size, max(1.0, room))
