"""A page drawn small enough for a browser: what a sandboxed child does, since the picture is a stranger's."""

from pathlib import Path

from PIL import Image

from inktally.errors import NotFound
from inktally.imaging.decoding.document import Limits, open_document

LONGEST_SIDE = 1800  # pixels
QUALITY = 78


def draw(picture: str, target: str, number: int, max_pixels: int, max_pages: int) -> list[int]:
    """Write page `number` (from 1) as WebP to `target`; its width and height. Raises `PictureError`, `NotFound`."""
    with open_document(Path(picture), Limits(max_pixels=max_pixels, max_pages=max_pages)) as document:
        if number > document.page_count:
            raise NotFound("There is no such page.")
        page = Image.fromarray(document.page(number).image.pixels)
    page.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2)
    page.save(target, "WEBP", quality=QUALITY, method=2)
    return list(page.size)
