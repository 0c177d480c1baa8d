"""The command and its pictures: broken ones, names of any kind, options, the same one many times at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployments import samples
from inktally import keys
from tests.e2e.test_command_line import ANNA, FIELDS, OUTPUTS
from tests.support.machine import Machine, draw, ended, words_of
from tests.support.waiting import eventually


class TestBadPictures:
    """Some pictures of a call are broken, and one is not."""

    BROKEN: ClassVar = {
        "letter.png": "NotAPicture",
        "cut.png": "UnreadablePicture",
        "empty.png": "EmptyPicture",
        "layers.png": "UnsupportedFormat",
    }

    @pytest.fixture
    def broken(self, tmp_path: Path, pictures: Path) -> Path:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "letter.png").write_text("Dear Sir or Madam,\nthis is no picture.\n")
        (folder / "cut.png").write_bytes((pictures / samples.CLEAN).read_bytes()[:20_000])
        (folder / "empty.png").touch()
        (folder / "layers.png").write_bytes(b"8BPS\0\1" + bytes(20))
        return folder

    def test_they_are_told_of_moved_aside_and_do_not_stop_the_others(self, connected: Machine, broken: Path) -> None:
        good, missing = draw(connected.folder / "good.png", "one good picture"), connected.folder / "none.png"
        before = _bytes_of(broken)
        never = [missing, b"gone-\xe9.png", "", "s3://"]
        run = connected.run(*(broken / name for name in self.BROKEN), *never, good, "--to", ANNA, "--json")
        failed, absent, fine = run.objects[:4], run.objects[4:8], run.objects[8]
        assert run.status == 1
        assert [each["error"]["kind"] for each in failed] == list(self.BROKEN.values())
        assert all(len(each["error"]["message"]) > 20 for each in failed)
        assert [set(each) for each in run.objects] == [FIELDS] * 9
        assert [(each["notified"], each["outputs"]) for each in failed] == [(ANNA, {})] * 4
        assert [each["error"]["kind"] for each in absent] == ["NotFound", "NotFound", "NotFound", "BadSettings"]
        assert absent[0]["upload"] == str(missing)
        assert (fine["error"], fine["words"], words_of(fine["outputs"]["word_counts"])["picture"]) == (None, 3, 1)
        assert _bytes_of(broken) == before
        for name, kind in self.BROKEN.items():
            assert (connected.store / "failed" / name).read_bytes() == before[name]
            assert json.loads((connected.store / "failed" / f"{name}.reason.json").read_text())["kind"] == kind
            assert not (connected.store / "input" / name).exists()
        subjects = {mail["Subject"] for mail in connected.mails()}
        assert subjects == {"3 words in good.png", *(f"{name} could not be read" for name in self.BROKEN)}
        assert "Traceback" not in run.stderr


class TestNames:
    """Files may be called anything."""

    ODD: ClassVar = [
        "blank name.png",
        "plus + 100% 50%25 caf\N{LATIN SMALL LETTER E WITH ACUTE}.png",
        "new\nline.png",
        "n" * 196 + ".png",
        "{0} {upload} [bold]x.png",
        "deep/er/b.png",
        "\N{DUCK}\N{CJK UNIFIED IDEOGRAPH-9D28} \N{RIGHT-TO-LEFT OVERRIDE}.png",
    ]

    def test_every_file_of_a_folder_keeps_its_name_and_its_folders(self, connected: Machine) -> None:
        folder = connected.folder / "pictures"
        for name in self.ODD:
            draw(folder / name, "same words")
        (folder / b"latin-\xe9.png".decode("utf-8", "surrogateescape")).write_bytes((folder / self.ODD[0]).read_bytes())
        run = connected.run(folder, "--json", "--to", ANNA, INKTALLY_STORE=folder / "store")
        names = sorted([*self.ODD, "latin-\\xe9.png"])
        assert (run.status, [each["error"] for each in run.objects]) == (0, [None] * 8)
        assert sorted(_relative(folder / "store" / "input", run.objects)) == names
        assert [words_of(folder / "store" / keys.word_counts(name)) for name in names] == [{"same": 1, "words": 1}] * 8
        assert len(connected.mails()) == 8
        assert connected.recognitions() == 1

        again = connected.run(folder, INKTALLY_STORE=folder / "store")
        assert (again.status, again.stdout.count("cached")) == (0, 8), "the copies in the store are no new pictures"

    def test_two_files_of_one_name_are_told_apart_and_one_file_twice_is_one(self, connected: Machine) -> None:
        folder = connected.folder / "pictures"
        for name, words in {
            "one/p.png": "first",
            "two/p.png": "second",
            "-p.png": "third",
            "a": "x",
            "b/a": "y",
        }.items():
            draw(folder / name, words)
        again = ["./one/p.png", "two/../one/p.png", folder / "one" / "p.png", "one"]
        run = connected.run("--json", "--", "one/p.png", "two/p.png", "-p.png", "a", "b/a", *again, cwd=folder)
        uploads = _relative(connected.store / "input", run.objects)
        assert (run.status, uploads[:3]) == (0, ["one/p.png", "two/p.png", "-p.png"])
        assert (len(uploads), len(set(uploads))) == (5, 5)
        assert words_of(connected.store / keys.word_counts("two/p.png")) == {"second": 1}


class TestOptions:
    """One machine, whose runs build on each other where that saves time."""

    def test_they_say_where_results_go_what_is_counted_and_what_becomes_of_the_copy(self, connected: Machine) -> None:
        page, other = draw(connected.folder / "page.png", "some plain words"), connected.folder / "other"
        bytes_of_page = page.read_bytes()

        first = connected.run(page, "--store", other, "--after", "archive", "--json").only
        assert (first["error"], first["cached"], first["words"], connected.store.exists()) == (None, False, 3, False)
        assert Path(first["outputs"]["word_counts"]).is_relative_to(other)
        assert (other / "archive" / "page.png").read_bytes() == bytes_of_page
        assert not (other / "input" / "page.png").exists()

        strict = connected.run(page, "--store", other, "--after", "delete", "--min-confidence", "100", "--json").only
        assert (strict["error"], strict["cached"], strict["words"]) == (None, True, 0)
        assert not (other / "input" / "page.png").exists()
        assert connected.recognitions() == 1

        refreshed = connected.run(page, "--store", other, "--refresh", "--json").only
        assert (refreshed["error"], refreshed["cached"], refreshed["words"]) == (None, False, 3)
        assert connected.recognitions() == 2
        assert page.read_bytes() == bytes_of_page == (other / "input" / "page.png").read_bytes()

    def test_what_is_not_installed_is_named_with_the_command_that_installs_it(self, connected: Machine) -> None:
        picture = draw(connected.folder / "page.png", "page")
        language = connected.start(picture, "--language", "xyz", "--json", "--to", ANNA)
        program = connected.start(picture, "--json", "--store", connected.folder / "b", INKTALLY_TESSERACT="nowhere")
        for process, package in ((language, "tesseract-ocr-xyz"), (program, "tesseract-ocr")):
            run = ended(process)
            assert (run.status, run.only["error"]["kind"]) == (1, "MissingTool")
            assert f"apt-get install {package}" in run.only["error"]["message"]
            assert "Traceback" not in run.stderr
        assert (connected.store / "input" / "page.png").is_file()
        assert [mail["Subject"] for mail in connected.mails()] == ["Still reading page.png"]


def test_a_picture_sent_four_times_at_once_is_recognised_once_and_each_sender_is_told(connected: Machine) -> None:
    connected.slow_down_tesseract(3)
    page, bob = draw(connected.folder / "page.png", "sent again"), "bob@example.org"
    copy = shutil.copy(page, connected.folder / "copy.png")
    begun = [connected.start(each, "--to", to, "--json") for each, to in ((page, ANNA), (page, bob), (copy, ANNA))]
    eventually(connected.recognitions)
    runs = [connected.run(page, "--to", bob, "--json"), *map(ended, begun)]
    assert [run.status for run in runs] == [0] * 4, [run.stderr for run in runs]
    assert connected.recognitions() == 1
    assert [run.only["cached"] for run in runs].count(False) == 1
    assert [set(run.only["outputs"]) for run in runs] == [OUTPUTS] * 4
    assert sorted(mail["To"] for mail in connected.mails()) == [ANNA, ANNA, bob, bob]


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _relative(folder: Path, objects: list[dict[str, Any]]) -> list[str]:
    return [str(Path(each["upload"]).relative_to(folder)) for each in objects]
