"""The samples are what the demo shows first, so a real Tesseract must read them."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from deployments.samples import CLEAN, NOISY, ODD_NAME, SAMPLES, TWO_PAGES, main, render


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    render(folder)
    return folder


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def f1(truth: str, read: str) -> float:
    """The harmonic mean of precision and recall over words with their counts, 0 to 1."""
    wanted, found = words(truth), words(read)
    return 2 * (wanted & found).total() / (wanted.total() + found.total())


def tesseract(picture: Path) -> str:
    command = ["tesseract", str(picture), "-"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(("name", "least"), [(CLEAN, 0.98), (ODD_NAME, 0.98), (TWO_PAGES, 0.97), (NOISY, 0.90)])
def test_tesseract_reads_the_sample(samples: Path, name: str, least: float) -> None:
    assert f1(SAMPLES[name], tesseract(samples / name)) >= least


def test_the_score_tells_a_page_from_half_of_it() -> None:
    truth = SAMPLES[CLEAN]
    assert f1(truth, truth) == 1
    assert f1(truth, truth[: len(truth) // 2]) < 0.75
    assert f1(truth, "") == 0


def test_every_sample_is_drawn_and_nothing_else(samples: Path) -> None:
    assert {path.name for path in samples.iterdir()} == set(SAMPLES)


def test_the_samples_are_the_same_bytes_each_time(samples: Path, tmp_path: Path) -> None:
    for again in render(tmp_path / "new" / "folder"):
        assert again.read_bytes() == (samples / again.name).read_bytes()


def test_the_text_stays_within_the_letters_of_the_font() -> None:
    for name, text in SAMPLES.items():
        assert text.isascii(), name
        assert 120 <= words(text).total() <= 320, name


def test_the_pages_are_a4_and_say_their_resolution(samples: Path) -> None:
    for name, text in SAMPLES.items():
        with Image.open(samples / name) as picture:
            assert picture.size == (1654, 2339)
            assert [round(value) for value in picture.info["dpi"]] == [200, 200]
            assert getattr(picture, "n_frames", 1) == text.count("\f") + 1


def test_no_line_runs_into_the_right_margin(samples: Path) -> None:
    with Image.open(samples / CLEAN) as picture:
        assert picture.crop((1654 - 150, 0, 1654, 2339)).getextrema() == (255, 255)


def test_the_noisy_page_is_really_worse_than_a_clean_one(samples: Path) -> None:
    with Image.open(samples / CLEAN) as clean, Image.open(samples / NOISY) as noisy:
        assert clean.getpixel((5, 1000)) == 255
        left, right = noisy.crop((0, 0, 100, 2339)), noisy.crop((1554, 0, 1654, 2339))
        assert sum(left.histogram()[:210]) > sum(right.histogram()[:210])
        assert noisy.histogram()[0] > 1000


def test_the_odd_name_has_a_blank_a_plus_a_percent_sign_and_an_accent() -> None:
    assert all(character in ODD_NAME for character in " +%\N{LATIN SMALL LETTER E WITH ACUTE}")


def test_the_command_names_what_it_drew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == list(SAMPLES)


def test_the_command_without_a_folder_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "FOLDER" in capsys.readouterr().err
