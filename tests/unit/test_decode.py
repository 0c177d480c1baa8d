"""Pictures of every format and depth become upright pages of eight bits; what cannot is told in time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from inktally.errors import (
    EmptyPicture,
    NotAPicture,
    PictureError,
    TooLarge,
    UnreadablePicture,
    UnsupportedFormat,
)
from inktally.imaging.decoding.document import DecodedPage, Limits, open_document
from tests.support.paper import LINES, picture

pillow_heif.register_heif_opener()

LIMITS = Limits(max_pixels=50_000_000, max_pages=5)
PAGE = picture()
PIXELS = np.asarray(PAGE)
MIN_IS_BLACK = b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00"
MIN_IS_WHITE = b"\x06\x01\x03\x00\x01\x00\x00\x00\x00\x00"

FORMATS: dict[str, dict[str, Any]] = {
    "page.png": {},
    "page.jpg": {"quality": 95},
    "page.tiff": {},
    "big.tiff": {"big_tiff": True},
    "group4.tiff": {"compression": "group4"},
    "jpeg.tiff": {"compression": "jpeg", "quality": 95},
    "lzw.tiff": {"compression": "tiff_lzw"},
    "page.webp": {"quality": 95},
    "page.bmp": {},
    "page.gif": {},
    "page.jp2": {},
    "page.j2k": {},
    "page.pbm": {},
    "page.pgm": {},
    "page.heic": {"quality": 95},
    "page.avif": {"quality": 95},
}


def decoded(path: Path, limits: Limits = LIMITS) -> list[DecodedPage]:
    with open_document(path, limits) as document:
        return [document.page(number) for number in range(1, document.page_count + 1)]


def pixels_of(path: Path) -> NDArray[np.uint8]:
    (page,) = decoded(path)
    assert page.image.pixels.dtype == np.uint8
    assert page.image.pixels.flags.c_contiguous
    return page.image.pixels


def is_the_page(pixels: NDArray[np.uint8]) -> bool:
    """Whether these are the pixels of PAGE, but for what compression does to them."""
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    return grey.shape == PIXELS.shape and float(np.abs(grey - PIXELS.astype(float)).mean()) < 5


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_whatever_its_name(name: str, tmp_path: Path) -> None:
    mode = "1" if name in {"group4.tiff", "page.pbm"} else "L"
    PAGE.convert(mode).save(tmp_path / name, **FORMATS[name])
    (tmp_path / name).rename(tmp_path / "picture")
    assert is_the_page(pixels_of(tmp_path / "picture"))


def sixteen_bit(page: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(page).astype(np.uint16) * 100 + 9000)


def float_grey(page: Image.Image) -> Image.Image:
    values = np.asarray(page).astype(np.float32) / 1e6
    values[0, :4] = (np.nan, np.inf, -np.inf, 1e30)
    return Image.fromarray(values)


def lab(page: Image.Image) -> Image.Image:
    return Image.merge("LAB", (page, Image.new("L", page.size, 128), Image.new("L", page.size, 128)))


DEPTHS: dict[str, Callable[[Image.Image], Image.Image]] = {
    **{mode: lambda page, mode=mode: page.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I")},
    "YCbCr": lambda page: page.convert("YCbCr"),
    "I;16": sixteen_bit,
    "F": float_grey,
    "LAB": lab,
}


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_depth_becomes_eight_bits_of_grey_or_rgb(depth: str, tmp_path: Path) -> None:
    DEPTHS[depth](PAGE).save(tmp_path / "page.tiff")
    pixels = pixels_of(tmp_path / "page.tiff")
    assert is_the_page(pixels)
    assert pixels.ndim == (2 if depth in {"1", "L", "LA", "I", "I;16", "F"} else 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_what_is_transparent_is_white_paper(mode: str, tmp_path: Path) -> None:
    ink = Image.new("RGBA", PAGE.size, (0, 0, 0, 0))
    ink.putalpha(PAGE.point(lambda value: 255 - value))
    if mode in {"P", "1"}:
        converted = PAGE.convert(mode)
        converted.point(lambda value: 0 if value < 128 else 1)
        converted.save(tmp_path / "ink.png", transparency=255 if mode == "P" else 1)
    else:
        ink.convert(mode).save(tmp_path / "ink.png")
    assert is_the_page(pixels_of(tmp_path / "ink.png"))


class TestSixteenBits:
    """Stretched to what is used of them."""

    def test_dead_and_hot_pixels_do_not_decide(self, tmp_path: Path) -> None:
        values = np.asarray(sixteen_bit(PAGE)).copy()
        values[0, :3], values[1, :3] = 0, 65535
        Image.fromarray(values).save(tmp_path / "page.tiff")
        assert is_the_page(pixels_of(tmp_path / "page.tiff"))

    def test_noise_on_blank_paper_stays_faint(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(1).normal(50_000, 200, (400, 400)).astype(np.uint16)
        Image.fromarray(noise).save(tmp_path / "blank.tiff")
        assert pixels_of(tmp_path / "blank.tiff").min() > 230

    def test_a_negative_is_turned_round(self, tmp_path: Path) -> None:
        negative = 65535 - np.asarray(PAGE).astype(np.uint16) * 257
        Image.fromarray(negative).save(tmp_path / "page.tiff")
        content = (tmp_path / "page.tiff").read_bytes()
        assert content.count(MIN_IS_BLACK) == 1
        (tmp_path / "page.tiff").write_bytes(content.replace(MIN_IS_BLACK, MIN_IS_WHITE))
        assert is_the_page(pixels_of(tmp_path / "page.tiff"))


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp", "heic"])
@pytest.mark.parametrize("orientation", TURNED)
def test_pages_are_upright_as_the_camera_says(orientation: int, suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    PAGE.transpose(TURNED[orientation]).save(tmp_path / f"photo.{suffix}", exif=exif.tobytes())
    assert is_the_page(pixels_of(tmp_path / f"photo.{suffix}"))


def test_broken_exif_is_passed_over(tmp_path: Path) -> None:
    PAGE.save(tmp_path / "photo.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f\0\0")
    assert is_the_page(pixels_of(tmp_path / "photo.jpg"))


@pytest.mark.parametrize(
    ("stated", "believed"),
    [((300, 300), 300), ((204, 196), 204), ((600, 600), 600), ((72, 72), 0), ((1, 1), 0), ((9600, 9600), 0),
     ((204, 98), 0)],
)  # fmt: skip
def test_a_resolution_is_believed_when_it_can_be(stated: tuple[int, int], believed: int, tmp_path: Path) -> None:
    PAGE.save(tmp_path / "page.tiff", dpi=stated)
    (page,) = decoded(tmp_path / "page.tiff")
    assert page.image.dpi == believed


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(("ink", "ground"), [((255,), 0), ((0,), 255), ((0, 255), 128), ((120,), 255)])
def test_letters_on_nothing_can_be_seen_whatever_their_colour(
    mode: str, ink: tuple[int, ...], ground: int, tmp_path: Path
) -> None:
    picture = Image.new(mode, (200, 100), (0,) * len(mode))
    for number, grey in enumerate(ink):
        picture.paste((*[grey] * (len(mode) - 1), 255), (20 + 60 * number, 20, 60 + 60 * number, 80))
    picture.save(tmp_path / "ink.png")
    assert set(pixels_of(tmp_path / "ink.png").ravel().tolist()) == {*ink, ground}


class TestDamage:
    """What decoders pass over in silence is said."""

    @pytest.mark.parametrize("compression", ["group3", "group4"])
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_damaged_strip_is_told_of_its_page_alone(self, compression: str, number: int, tmp_path: Path) -> None:
        lines = ["\n".join(LINES[start : start + 5]) for start in (0, 5, 10)]
        pages = [picture(text, (1240, 500)).convert("1") for text in lines]
        pages[0].save(tmp_path / "three.tif", save_all=True, append_images=pages[1:], compression=compression)
        assert not any(page.damage for page in decoded(tmp_path / "three.tif"))
        with Image.open(tmp_path / "three.tif") as file:
            file.seek(number - 1)
            start, length = file.tag_v2[273][0], file.tag_v2[279][0]
        content = bytearray((tmp_path / "three.tif").read_bytes())
        content[start + length // 3 : start + length // 3 + 40] = bytes(range(40))
        (tmp_path / "three.tif").write_bytes(content)
        told = [page.damage for page in decoded(tmp_path / "three.tif")]
        assert [bool(damage) for damage in told] == [page == number for page in (1, 2, 3)]

    def test_a_jpeg_that_breaks_off_within_is_told(self, tmp_path: Path) -> None:
        PAGE.save(tmp_path / "page.jpg", quality=95)
        content = (tmp_path / "page.jpg").read_bytes()
        assert not decoded(tmp_path / "page.jpg")[0].damage
        (tmp_path / "cut.jpg").write_bytes(content[: len(content) * 2 // 3] + b"\xff\xd9")
        try:
            (page,) = decoded(tmp_path / "cut.jpg")
        except UnreadablePicture:
            return
        assert page.damage


class TestPages:
    """One at a time, when they are asked for."""

    def test_all_pages_of_a_tiff_are_there(self, tmp_path: Path) -> None:
        pages = [Image.new("L", (20, 10 + number)) for number in range(3)]
        pages[0].save(tmp_path / "three.tiff", save_all=True, append_images=pages[1:])
        with open_document(tmp_path / "three.tiff", LIMITS) as document:
            assert document.page_count == 3
            assert [document.page(number).image.height for number in (3, 1, 2)] == [12, 10, 11]

    def test_previews_and_masks_are_no_pages(self, tmp_path: Path) -> None:
        with TiffImagePlugin.AppendingTiffWriter(tmp_path / "page.tiff") as file:
            for kind in (0, 1, 4, 2):
                PAGE.save(file, "TIFF", tiffinfo={254: kind})
                file.newFrame()
        assert len(decoded(tmp_path / "page.tiff")) == 2

    def test_a_preview_before_its_page_is_none_either(self, tmp_path: Path) -> None:
        with TiffImagePlugin.AppendingTiffWriter(tmp_path / "page.tiff") as file:
            for tags, page in ({254: 1}, PAGE.resize((40, 30))), ({255: 2}, PAGE.resize((40, 30))), ({}, PAGE):
                page.save(file, "TIFF", tiffinfo=tags)
                file.newFrame()
        (page,) = decoded(tmp_path / "page.tiff")
        assert is_the_page(page.image.pixels)

    @pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif", "heic"])
    def test_of_an_animation_or_a_burst_the_first_picture_counts(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"moving.{suffix}"
        PAGE.convert("RGB").save(path, save_all=True, append_images=[Image.new("RGB", PAGE.size)], duration=100)
        assert is_the_page(pixels_of(path))

    def test_too_many_are_refused(self, tmp_path: Path) -> None:
        page = Image.new("1", (8, 8))
        page.save(tmp_path / "many.tiff", save_all=True, append_images=[page] * 5)
        with pytest.raises(TooLarge, match="more than 5 pages"):
            decoded(tmp_path / "many.tiff")

    def test_a_broken_one_is_named_and_the_others_can_be_read(self, tmp_path: Path) -> None:
        PAGE.save(tmp_path / "two.tiff", save_all=True, append_images=[PAGE], compression="tiff_lzw")
        content = bytearray((tmp_path / "two.tiff").read_bytes())
        content[-2000:-1000] = b"\xff" * 1000
        (tmp_path / "two.tiff").write_bytes(content)
        with open_document(tmp_path / "two.tiff", LIMITS) as document:
            assert is_the_page(document.page(1).image.pixels)
            with pytest.raises(UnreadablePicture, match="Page 2"):
                document.page(2)

    def test_memory_holds_one(self, tmp_path: Path) -> None:
        large = Image.new("P", (4000, 4000))
        large.save(tmp_path / "many.tiff", save_all=True, append_images=[large] * 7, compression="packbits")
        program = (
            "import sys; from pathlib import Path\n"
            "from inktally.imaging.decoding.document import Limits, open_document\n"
            "with open_document(Path(sys.argv[1]), Limits(max_pixels=10**8, max_pages=10)) as document:\n"
            "    for number in range(1, 9): document.page(number)\n"
            "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        most = subprocess.check_output([sys.executable, "-c", program, str(tmp_path / "many.tiff")])
        assert int(most) < 220_000  # kB; all eight at once would be 380 MB and more


class TestRefused:
    """From the header, before there are pixels."""

    def test_too_many_pixels(self, tmp_path: Path) -> None:
        Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
        with pytest.raises(TooLarge, match="9000 x 9000"), open_document(tmp_path / "bomb.png", LIMITS):
            pytest.fail("it was opened")

    def test_too_many_pixels_on_a_later_page(self, tmp_path: Path) -> None:
        large = Image.new("1", (10_000, 10_000))
        PAGE.convert("1").save(tmp_path / "bomb.tiff", save_all=True, append_images=[large], compression="group4")
        with pytest.raises(TooLarge, match="Page 2 is 10000 x 10000"), open_document(tmp_path / "bomb.tiff", LIMITS):
            pytest.fail("it was opened")

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            (b"", EmptyPicture),
            (b"no picture, but a note", NotAPicture),
            (b"P5-note", NotAPicture),
            (b"PK\x03\x04 word/document.xml", UnsupportedFormat),
            (b"8BPS\0\1", UnsupportedFormat),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", UnsupportedFormat),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50, UnreadablePicture),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"\0" * 50, UnreadablePicture),
            (b"\x89PNG\r\n\x1a\n", UnreadablePicture),
            (b"II*\0\x08\0\0\0", UnreadablePicture),
            (b"MM\0+\0\x08\0\0" + b"\xff" * 8, UnreadablePicture),
        ],
    )
    def test_each_kind_of_bad_file_has_an_error_of_its_own(
        self, content: bytes, error: type[PictureError], tmp_path: Path
    ) -> None:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(error) as caught:
            decoded(tmp_path / "bad")
        assert str(tmp_path) not in str(caught.value)

    @pytest.mark.parametrize("name", ["page.png", "page.jpg", "page.webp", "page.gif", "page.heic", "page.avif"])
    def test_a_file_that_was_cut_off_is_told(self, name: str, tmp_path: Path) -> None:
        PAGE.save(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[: (tmp_path / name).stat().st_size // 2])
        with pytest.raises(UnreadablePicture):
            decoded(tmp_path / name)


def test_names_are_judged_without_importing_a_decoder() -> None:
    program = (
        "import sys, inktally.imaging.decoding.formats; print({'PIL', 'numpy', 'cv2', 'pypdfium2'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"
