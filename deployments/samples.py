"""The sample pictures of the demo, drawn from text written for it: `python -m deployments.samples FOLDER`.

They are drawn with the font that Pillow carries (Aileron), so nothing is downloaded and a bare Debian will do. That
font has no letters beyond ASCII. One version of Pillow draws the same bytes every time.
"""

import random
import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

DPI = 200
PAPER = (1654, 2339)  # A4 at 200 dpi, in pixels
MARGIN = 200
POINTS = 13.5
COLUMNS = 62
INK = 25
PAGE_BREAK = "\f"

MARKET = """\
The market by the river

The market opens at seven, when the fog still lies on the water and the first barges come in. Nobody hurries. The \
baker stacks her loaves, the fishmonger counts his crates, and the man who repairs clocks lays out nine of them on a \
blue cloth. None of the nine agree about the time.

By eight the fog has gone and the square is full. There are leeks and apples, twelve kinds of cheese, baskets, \
brooms, and a box of keys that open nothing in this town. Children like the keys best. They try them on every gate \
along the quay, and every year one of them swears that a gate gave way.

At noon the bell rings and the market folds itself up. The baker has sold her loaves, the fishmonger has sold his \
fish, and the clocks go home in their cloth. The river carries the barges down to the sea, and the square belongs to \
the pigeons again."""

LIGHTHOUSE = """\
Notes of a lighthouse keeper

Monday. Wind from the west, rain before breakfast. Cleaned the lamp and wound the clockwork. A small grey bird came \
in through the open window, looked at the lamp, looked at me, and left again.

Tuesday. The supply boat brought flour, lamp oil, two letters and a newspaper that was nine days old. Read the \
weather report with great interest, and compared it with the weather.

Wednesday. Clear and cold. Counted thirty ships in the night, all of them far out, each with its own small light. \
Perhaps they counted me.

Thursday. The bird came back and brought another bird. Moved the bread to the top shelf.

Friday. Fog. The horn sounded all day, and by evening the cups on the table answered it. Wrote to my sister that all \
is quiet here, and in a way that is true.

Saturday. Sun at last. Painted the door green, sat down beside it, and watched the paint and the sea until both of \
them were calm. Both birds came to look. One of them now has a green foot."""

GARDEN = """\
A garden on the roof

It began with one pot of mint beside the chimney. The next spring there were beans along the railing, and in the \
third year somebody carried eleven sacks of soil up five flights of stairs, one sack each evening, and told nobody \
why.

Now there is a narrow path between the beds, a bench made from an old door, and a barrel that catches the rain. The \
neighbours come up after work. They bring a tomato plant, a joke, a chair with three legs, and they stay until the \
swifts have gone to bed.

From the bench you can see the whole town: the station, the two church towers, the long roof of the market hall. \
Nobody down there ever looks up. That is the best thing about the garden, says the woman with the mint. It is in the \
middle of everything, and nobody has found it yet."""

MENU = """\
Menu of the day

Soup of roasted carrots with ginger and bread. Salad of beans, radish and soft goat cheese. Potato cake with apple \
sauce, or with smoked trout and sour cream. Barley with mushrooms, slow onions and parsley. Chicken from the oven \
with lemon, thyme and new potatoes.

For afterwards there is plum tart, baked this morning, and there is chocolate pudding, which is usually gone by one. \
We are sorry about that and make more of it every week, but it does not help.

Everything is cooked here and nothing is kept for tomorrow. Please tell us what you cannot eat; the kitchen likes a \
puzzle. Tap water is free, coffee comes with a biscuit, and the house wine is red, white or finished.

The table by the window may not be reserved. Whoever comes first may sit there, and the cat was here before you."""

CLEAN = "market.png"
NOISY = "lighthouse-photo.png"
TWO_PAGES = "two-pages.tiff"
ODD_NAME = "Caf\N{LATIN SMALL LETTER E WITH ACUTE} menu 100% + wine.png"

SAMPLES = {CLEAN: MARKET, NOISY: LIGHTHOUSE, TWO_PAGES: GARDEN + PAGE_BREAK + MARKET, ODD_NAME: MENU}
"""File name -> the true text; a form feed parts the pages."""


def render(folder: Path) -> list[Path]:
    """Draw all samples into `folder`, which is made when it is missing; the paths drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_render_sample(folder / name, text) for name, text in SAMPLES.items()]


def _render_sample(path: Path, text: str) -> Path:
    drawn = [_page(page) for page in text.split(PAGE_BREAK)]
    first, *others = map(_photographed, drawn) if path.name == NOISY else drawn
    if path.suffix == ".tiff":
        first.save(path, dpi=(DPI, DPI), compression="tiff_lzw", save_all=True, append_images=others)
    else:
        first.save(path, dpi=(DPI, DPI), optimize=True)
    return path


def _page(text: str) -> Image.Image:
    """One A4 page in grey with `text` in paragraphs, its first line as the title."""
    page = Image.new("L", PAPER, 255)
    draw = ImageDraw.Draw(page)
    title, *paragraphs = text.split("\n\n")
    line_height = round(POINTS * DPI / 72 * 1.5)
    draw.text((MARGIN, MARGIN), title, font=_font(POINTS * 1.7), fill=INK)
    top = MARGIN + 3 * line_height
    for paragraph in paragraphs:
        for line in textwrap.wrap(paragraph, COLUMNS):
            draw.text((MARGIN, top), line, font=_font(POINTS), fill=INK)
            top += line_height
        top += line_height // 2
    return page


def _font(points: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(points * DPI / 72)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("This build of Pillow has no FreeType; install Pillow from its wheel.")
    return font


def _photographed(page: Image.Image, seed: int = 7) -> Image.Image:
    """As from a modest camera: turned by 0.7 degrees, a little blurred, darker to one side, with specks."""
    turned = page.rotate(0.7, Image.Resampling.BICUBIC, fillcolor=255)
    blurred = turned.filter(ImageFilter.GaussianBlur(1.0))
    shade = Image.linear_gradient("L").rotate(90).resize(page.size).point(lambda level: 190 + level * 60 // 255)
    photo = ImageChops.multiply(blurred, shade)
    dice = random.Random(seed)  # noqa: S311 - specks, not secrets
    width, height = photo.size
    for _ in range(width * height // 400):
        photo.putpixel((dice.randrange(width), dice.randrange(height)), dice.choice((0, 255)))
    return photo


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m deployments.samples FOLDER\n")
        return 2
    for path in render(Path(arguments[0])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
