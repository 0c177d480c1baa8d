"""Tesseract in its sandbox, with the real command."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageFont

from inktally import plugins
from inktally.errors import (
    BadSettings,
    EmptyPicture,
    EngineFailed,
    MissingTool,
    NotAPicture,
    PictureError,
    RecognitionTimeout,
    TooLarge,
    UnreadablePicture,
)
from inktally.reading.reader import Reader
from inktally.settings import read_settings
from tests.support.openings import Openings

Wrap = Callable[[str], str]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def wrap(tmp_path: Path) -> Wrap:
    """Make a `tesseract` that runs some shell first."""

    def wrapper(shell: str) -> str:
        command = tmp_path / "bin" / "tesseract"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\n{shell}\nexec /usr/bin/env tesseract "$@"\n')
        command.chmod(0o755)  # children are other users
        return str(command)

    return wrapper


def tesseract(scratch: Path, **settings: object) -> Reader:
    recogniser = plugins.recogniser("tesseract", read_settings(scratch=scratch, recognition_workers=1, **settings))
    assert isinstance(recogniser, Reader)
    return recogniser


def words_on(picture: Path, engine: Reader, *languages: str) -> list[str]:
    identity = engine.identify(languages or ("eng",))
    return [word.text for word in engine.recognise(picture, identity).words]


def page(text: str, mode: str = "L") -> Image.Image:
    picture = Image.new("L", (900, 200), "white")
    ImageDraw.Draw(picture).text((40, 60), text, fill="black", font=ImageFont.load_default(60))
    return picture.convert(mode)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp", "webp", "gif", "jp2", "ppm"])
def test_every_format_is_read(suffix: str, tmp_path: Path, scratch: Path) -> None:
    picture = tmp_path / f"page.{suffix}"
    page("Hello patient reader", "RGB").save(picture)
    assert words_on(picture, tesseract(scratch)) == ["Hello", "patient", "reader"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"])
def test_every_depth_is_read(mode: str, tmp_path: Path, scratch: Path) -> None:
    picture = tmp_path / "page.tiff"
    made = page("Hello patient reader")
    if mode == "I;16":
        made = made.convert("I").point(lambda value: value * 100).convert("I;16")
    elif mode == "LAB":
        made = Image.merge("LAB", (made, Image.new("L", made.size, 128), Image.new("L", made.size, 128)))
    else:
        made = made.convert(mode)
    made.save(picture)
    assert words_on(picture, tesseract(scratch)) == ["Hello", "patient", "reader"]


def test_transparent_ink_is_read_on_white_paper(tmp_path: Path, scratch: Path) -> None:
    ink = Image.new("RGBA", (900, 200), (0, 0, 0, 0))
    ImageDraw.Draw(ink).text((40, 60), "Hello patient reader", fill="black", font=ImageFont.load_default(60))
    ink.save(tmp_path / "ink.png")
    assert words_on(tmp_path / "ink.png", tesseract(scratch)) == ["Hello", "patient", "reader"]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photograph_is_read_upright_as_its_camera_says(orientation: int, tmp_path: Path, scratch: Path) -> None:
    turned = {3: 180, 6: 90, 8: 270}[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    page("Hello patient reader").rotate(turned, expand=True).save(tmp_path / "photo.jpg", exif=exif)
    assert words_on(tmp_path / "photo.jpg", tesseract(scratch)) == ["Hello", "patient", "reader"]


def test_all_pages_of_a_tiff_are_read_each_once(tmp_path: Path, scratch: Path, wrap: Wrap) -> None:
    page("First page").save(tmp_path / "two.tiff", save_all=True, append_images=[page("Second one")])
    openings = Openings(tmp_path / "bin" / "starts")
    engine = tesseract(scratch, tesseract=wrap(openings.by_shell("read", '*" -l "*')))
    recognition = engine.recognise(tmp_path / "two.tiff", engine.identify(["eng"]))
    assert [(word.page, word.text) for word in recognition.words] == [
        (1, "First"), (1, "page"), (2, "Second"), (2, "one"),
    ]  # fmt: skip
    assert recognition.text == "First page\n\fSecond one\n"
    assert [(read.number, read.engine, read.width) for read in recognition.pages] == [
        (1, "tesseract", 900), (2, "tesseract", 900),
    ]  # fmt: skip
    assert openings.kinds() == ["read", "read"]


def test_a_second_process_learns_the_version_without_starting_tesseract(tmp_path: Path, wrap: Wrap) -> None:
    runs = tmp_path / "runs"
    command = wrap(f'echo "$@" >> {runs}')
    program = "from inktally.plugins import recogniser; from inktally.settings import read_settings; "
    program += f"print(recogniser('tesseract', read_settings(tesseract={command!r})).identify(['eng']).fingerprint)"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    first, second = (
        subprocess.check_output([sys.executable, "-c", program], env=environment, text=True) for _ in range(2)
    )
    assert first == second
    assert len(runs.read_text().splitlines()) == 2  # --version and --list-langs, the first time


def test_tesseract_has_one_thread_and_none_of_our_secrets(tmp_path: Path, scratch: Path, wrap: Wrap) -> None:
    os.environ["INKTALLY_SMTP_PASSWORD"] = "hidden"
    page("Hello").save(tmp_path / "page.png")
    try:
        engine = tesseract(scratch, tesseract=wrap('case "$*" in *" -l "*) echo Error: $(env) >&2; exit 1;; esac'))
        with pytest.raises(EngineFailed) as caught:
            words_on(tmp_path / "page.png", engine)
    finally:
        del os.environ["INKTALLY_SMTP_PASSWORD"]
    assert "OMP_THREAD_LIMIT=1 " in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_the_time_limit_kills_all_that_was_started_and_leaves_no_file(
    tmp_path: Path, scratch: Path, wrap: Wrap
) -> None:
    page("Hello").save(tmp_path / "page.png")
    openings = Openings(tmp_path / "bin" / "starts")
    command = wrap(openings.by_shell("read", '*" -l "*') + '\ncase "$*" in *" -l "*) sleep 1234 & wait;; esac')
    engine = tesseract(scratch, tesseract=command, recognition_seconds=5)
    identity = engine.identify(["eng"])
    begun = time.monotonic()
    with pytest.raises(RecognitionTimeout, match="5 seconds"):
        engine.recognise(tmp_path / "page.png", identity)
    assert time.monotonic() - begun < 20
    assert (openings.kinds(), asleep("1234")) == (["read"], False)
    del engine
    gc.collect()
    eventually(lambda: not any("scratch-" in folder for folder, *_ in os.walk(scratch)))


def test_a_killed_parent_leaves_neither_process_nor_file(tmp_path: Path, scratch: Path, wrap: Wrap) -> None:
    page("Hello").save(tmp_path / "page.png")
    command = wrap('case "$*" in *" -l "*) sleep 2345 & wait;; esac')
    program = (
        "from pathlib import Path; from inktally.plugins import recogniser; "
        "from inktally.settings import read_settings; "
        f"engine = recogniser('tesseract', read_settings(tesseract={command!r}, scratch={str(scratch)!r})); "
        f"engine.recognise(Path({str(tmp_path / 'page.png')!r}), engine.identify(['eng']))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    eventually(lambda: asleep("2345"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    eventually(lambda: not asleep("2345"))
    eventually(lambda: not any("scratch-" in folder for folder, *_ in os.walk(scratch)))


def test_the_next_picture_is_read_after_a_broken_one(tmp_path: Path, scratch: Path) -> None:
    engine = tesseract(scratch)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"?" * 100)
    page("Hello").save(tmp_path / "page.png")
    with pytest.raises(PictureError):
        words_on(tmp_path / "broken.png", engine)
    assert words_on(tmp_path / "page.png", engine) == ["Hello"]


def test_each_kind_of_bad_picture_has_an_error_of_its_own(tmp_path: Path, scratch: Path) -> None:
    whole = tmp_path / "whole.png"
    page("Hello " * 5).save(whole)
    bad = {
        "empty.png": (b"", EmptyPicture),
        "text.png": (b"no picture, but a note", NotAPicture),
        "paper.pdf": (b"%PDF-1.7 ...", UnreadablePicture),
        "photo.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 50, UnreadablePicture),
        "cut.png": (whole.read_bytes()[: whole.stat().st_size // 2], UnreadablePicture),
        "header.png": (b"\x89PNG\r\n\x1a\n", UnreadablePicture),
    }
    engine = tesseract(scratch)
    for name, (content, error) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error):
            words_on(tmp_path / name, engine)


def test_a_bomb_is_refused_from_its_header(tmp_path: Path, scratch: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    begun = time.monotonic()
    with pytest.raises(TooLarge, match="30000 x 30000"):
        words_on(tmp_path / "bomb.png", tesseract(scratch))
    assert time.monotonic() - begun < 5


def test_too_many_pages_are_refused(tmp_path: Path, scratch: Path) -> None:
    page("One").save(tmp_path / "many.tiff", save_all=True, append_images=[page("Two"), page("Three")])
    with pytest.raises(TooLarge, match="more than 2 pages"):
        words_on(tmp_path / "many.tiff", tesseract(scratch, max_pages=2))


def test_a_missing_tesseract_or_language_says_how_to_install_it(scratch: Path) -> None:
    with pytest.raises(MissingTool, match="apt-get install tesseract-ocr"):
        tesseract(scratch, tesseract="no-such-tesseract").identify(["eng"])
    with pytest.raises(MissingTool, match="tesseract-ocr-tlh"):
        tesseract(scratch).identify(["tlh"])
    with pytest.raises(BadSettings, match="no name of a language"):
        tesseract(scratch).identify(["../../etc/passwd"])


def asleep(seconds: str) -> bool:
    """Whether somebody sleeps for so long."""
    return any(each.info["cmdline"] == ["sleep", seconds] for each in psutil.process_iter(["cmdline"]))


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
