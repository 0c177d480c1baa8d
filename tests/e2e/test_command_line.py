"""The command as its users type it: what it prints, what it leaves, and what its options do."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from deployments import samples
from flows import ocr_flow
from flows.commands.uploads import main
from inktally import keys
from inktally.outputs import registry
from tests.support.machine import PROJECT, Machine, Run, draw, ended, eventually, new_machine, words_of

ANNA = "anna@example.org"
SCHEMA = json.loads((PROJECT / "inktally" / "schemas" / "word_counts.schema.json").read_text())
FIELDS = {
    *("upload", "etag", "cached", "words", "distinct", "mean_confidence"),
    *("outputs", "seconds", "notified", "error"),
}
OUTPUTS = {"plain_text", "coordinates_text", "coordinates_json", "word_counts"}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A new machine, without servers; used first by `first`, then by `second`."""
    with new_machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.fixture(scope="module")
def both(used: Machine, pictures: Path) -> tuple[Run, Run]:
    """Nothing is configured, no server runs, Spark starts in the process; and another command begins just then."""
    page = draw(used.folder / "page.png", "at the same moment")
    samples_run = used.start(pictures, "--to", ANNA)
    other = used.start(page, "--json", INKTALLY_STORE=used.folder / "other")
    return ended(samples_run), ended(other)


@pytest.fixture(scope="module")
def first(both: tuple[Run, Run]) -> Run:
    """The samples on a new machine."""
    return both[0]


@pytest.fixture(scope="module")
def second(used: Machine, pictures: Path, first: Run) -> Run:  # noqa: ARG001 - which came before
    """The same pictures again."""
    used.count_starts_of("java")
    used.forget_starts()
    return used.run(pictures, "--to", ANNA, "--json")


class TestTheSamplesOnANewMachine:
    """All four, for the first time and for the second."""

    def test_two_commands_may_begin_at_once(self, both: tuple[Run, Run]) -> None:
        assert [run.status for run in both] == [0, 0], [run.stderr for run in both]

    def test_the_first_run_shows_progress_then_a_table_and_where_the_results_are(
        self, used: Machine, first: Run
    ) -> None:
        assert (first.status, first.stderr.count(": done")) == (0, 4)
        heading, *rows = first.stdout.splitlines()
        assert {"Picture", "Words", "Distinct", "Confidence", "Seconds"} <= set(heading.split())
        assert len([row for row in rows if re.search(r" \d+ +\d+ +\d\d\.\d % +new +\d", row)]) == 4
        assert f"Results: {used.store}/output" in rows
        assert f"Mails: {used.folder}/mail" in rows

    @pytest.mark.parametrize("sample", samples.SAMPLES)
    def test_each_sample_has_its_outputs_under_its_own_name(self, used: Machine, first: Run, sample: str) -> None:
        assert first.status == 0
        places = [
            registry.OUTPUTS[name].key for name in ("plain_text", "coordinates_text", "coordinates_json", "word_counts")
        ]
        text, table, coordinates, counts = (used.store / place(sample) for place in places)
        document, expected = json.loads(counts.read_text()), samples.SAMPLES[sample]
        jsonschema.validate(document, SCHEMA)
        assert words_of(counts)["the"] == pytest.approx(len(re.findall(r"(?i)\bthe\b", expected)), abs=1)
        assert sum(words_of(counts).values()) == document["total"] == pytest.approx(len(expected.split()), rel=0.05)
        assert len(text.read_text().split()) == pytest.approx(len(expected.split()), rel=0.05)
        assert len(json.loads(coordinates.read_text())["words"]) == len(table.read_text().splitlines()) - 1
        assert document["source"] == str(used.store / "input" / sample)

    def test_each_picture_is_answered_by_one_mail_with_its_counts_attached(self, used: Machine, first: Run) -> None:
        assert first.status == 0
        mails = used.mails()[:4]
        attached = [json.loads(part.get_content()) for mail in mails for part in mail.iter_attachments()]
        assert [mail["To"] for mail in mails] == [ANNA] * 4
        assert {Path(document["source"]).name for document in attached} == set(samples.SAMPLES)
        for document in attached:
            jsonschema.validate(document, SCHEMA)
            assert document == json.loads((used.store / keys.word_counts(Path(document["source"]).name)).read_text())

    def test_nothing_is_left_running_and_no_temporary_folder(self, used: Machine, first: Run) -> None:
        assert first.status == 0
        eventually(lambda: not used.processes())
        assert used.scratch_folders() == []

    def test_the_second_run_knows_every_picture(self, second: Run, first: Run) -> None:
        assert [(each["cached"], each["error"]) for each in second.objects] == [(True, None)] * 4
        assert all(f"{each['words']:,}" in first.stdout for each in second.objects)

    def test_the_second_run_starts_neither_tesseract_nor_a_jvm(self, used: Machine, second: Run) -> None:
        assert second.status == 0
        assert (used.starts_of("tesseract"), used.starts_of("java")) == (0, 0)
        subprocess.run(["java", "-version"], env=used.environment, check=True, capture_output=True)
        assert used.starts_of("java") == 1, "starts of Java are not even counted"

    def test_the_second_run_is_another_delivery_and_mails_again(self, used: Machine, second: Run) -> None:
        assert [each["notified"] for each in second.objects] == [ANNA] * 4
        mails = used.mails()
        assert len({mail["Message-ID"] for mail in mails}) == len(mails) == 8

    def test_json_is_one_object_a_picture_with_the_promised_fields(self, second: Run) -> None:
        assert [set(each) for each in second.objects] == [FIELDS] * 4
        assert [Path(each["upload"]).name for each in second.objects] == sorted(samples.SAMPLES)
        for each in second.objects:
            assert set(each["outputs"]) == OUTPUTS
            assert all(Path(output).is_file() for output in each["outputs"].values())
            assert each["seconds"].keys() >= {"look", "recognise", "count", "publish", "announce"}
            assert all(isinstance(seconds, float) for seconds in each["seconds"].values())
            assert (each["words"], each["distinct"]) == _totals(each["outputs"]["word_counts"])
            assert 90 < each["mean_confidence"] <= 100


class TestInterrupted:
    """By Ctrl-C, which goes to the whole process group of the terminal."""

    @pytest.mark.usefixtures("second")
    def test_the_command_ends_quietly_and_tidily_after_it_has_told_its_own_server(self, used: Machine) -> None:
        used.slow_down_tesseract(2)
        used.forget_starts()
        process = used.start(draw(used.folder / "late.png", "never mind"), "--json")
        eventually(used.recognitions)
        os.killpg(process.pid, signal.SIGINT)
        begun = time.monotonic()
        run = ended(process)
        assert (run.status, run.stdout, "Traceback" in run.stderr) == (130, "", False)
        assert time.monotonic() - begun < 10
        eventually(lambda: not used.processes())
        assert used.scratch_folders() == []


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


class TestWrongUsage:
    """Said in a sentence on stderr, with 2 as the exit status."""

    @pytest.mark.parametrize("arguments", [[], ["p", "--frobnicate"], ["p", "--engine", "x"], ["p", "--after", "burn"]])
    def test_arguments_that_are_none_are_refused_at_once(
        self, arguments: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(ocr_flow.ocr_flow, arguments)
        assert (arguments or ["PICTURE"])[-1] in capfd.readouterr().err

    def test_values_that_cannot_work_are_refused_before_anything_is_written(self, machine: Machine) -> None:
        picture = draw(machine.folder / "page.png", "page")
        calls: list[tuple[list[str], dict[str, str], str]] = [
            (["--min-confidence", "200"], {}, "0 to 100"),
            (["--outputs", "hocr,docx"], {}, "There is no output 'docx'"),
            (["--to", "nonsense"], {}, "'nonsense' is not a mail address"),
            (["--store", "s3://"], {}, "s3://bucket"),
            ([], {"INKTALLY_ENGINE": "nonsense"}, "nonsense"),
            ([], {"INKTALLY_DEADLINE_SECONDS": "soon"}, "INKTALLY_DEADLINE_SECONDS"),
        ]
        begun = [machine.start(picture, *arguments, **settings) for arguments, settings, _ in calls]
        for process, (*call, said) in zip(begun, calls, strict=True):
            run = ended(process)
            assert (run.status, run.stdout) == (2, ""), call
            assert said in run.stderr
            assert "Traceback" not in run.stderr
        assert not machine.store.exists()

    def test_help_names_every_option(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="0"):
            main(ocr_flow.ocr_flow, ["--help"])
        told = re.findall(r"--[a-z-]+", capfd.readouterr().out)
        promised = [
            "language",
            "engine",
            "to",
            "store",
            "after",
            "min-confidence",
            "body",
            "outputs",
            "refresh",
            "json",
        ]
        assert {f"--{option}" for option in promised} <= set(told)


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


def _totals(counts: str) -> tuple[int, int]:
    words = words_of(counts)
    return sum(words.values()), len(words)


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _relative(folder: Path, objects: list[dict[str, Any]]) -> list[str]:
    return [str(Path(each["upload"]).relative_to(folder)) for each in objects]
