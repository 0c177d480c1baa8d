"""The command as its users type it: what it prints, what it leaves, and what its options do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from deployments import samples
from inktally import keys
from tests.e2e.machine import COMMAND, PROJECT, Machine, Run, draw, ended, eventually, new_machine, words_of

ANNA = "anna@example.org"
SCHEMA = json.loads((PROJECT / "inktally" / "schemas" / "word_counts.schema.json").read_text())
FIELDS = {
    *("upload", "etag", "cached", "words", "distinct", "mean_confidence"),
    *("outputs", "seconds", "notified", "error"),
}
OUTPUTS = {"plain_text", "coordinates_text", "coordinates_json", "word_counts"}


class TestTheSamplesOnANewMachine:
    """Nothing is configured, no server runs, Spark starts in the process; then the same again."""

    @pytest.fixture(scope="class")
    def machine(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
        with new_machine(tmp_path_factory.mktemp("machine")) as made:
            yield made

    @pytest.fixture(scope="class")
    def first(self, machine: Machine, pictures: Path) -> Run:
        return machine.run(pictures, "--to", ANNA)

    @pytest.fixture(scope="class")
    def second(self, machine: Machine, pictures: Path, first: Run) -> Run:  # noqa: ARG002 - which came before
        machine.count_starts_of("java")
        machine.forget_starts()
        return machine.run(pictures, "--to", ANNA, "--json")

    def test_the_first_run_shows_progress_then_a_table_and_where_the_results_are(
        self, machine: Machine, first: Run
    ) -> None:
        assert (first.status, first.stderr.count(": done")) == (0, 4)
        heading, *rows = first.stdout.splitlines()
        assert re.split(r"\s{2,}", heading.strip()) == ["Picture", "Words", "Distinct", "Confidence", "Seconds"]
        assert len([row for row in rows if re.search(r" \d+ +\d+ +\d\d\.\d % +new +\d", row)]) == 4
        assert f"Results: {machine.store}/output" in rows
        assert f"Mails: {machine.folder}/mail" in rows

    @pytest.mark.parametrize("sample", samples.SAMPLES)
    def test_each_sample_has_its_outputs_under_its_own_name(self, machine: Machine, first: Run, sample: str) -> None:
        assert first.status == 0
        places = [keys.plain_text, keys.coordinates_text, keys.coordinates_json, keys.word_counts]
        text, table, coordinates, counts = (machine.store / place(sample) for place in places)
        document, expected = json.loads(counts.read_text()), samples.SAMPLES[sample]
        jsonschema.validate(document, SCHEMA)
        assert words_of(counts)["the"] == pytest.approx(len(re.findall(r"(?i)\bthe\b", expected)), abs=1)
        assert sum(words_of(counts).values()) == document["total"] == pytest.approx(len(expected.split()), rel=0.05)
        assert len(text.read_text().split()) == pytest.approx(len(expected.split()), rel=0.05)
        assert len(json.loads(coordinates.read_text())["words"]) == len(table.read_text().splitlines()) - 1
        assert document["source"] == str(machine.store / "input" / sample)

    def test_each_picture_is_answered_by_one_mail_with_its_counts_attached(self, machine: Machine, first: Run) -> None:
        assert first.status == 0
        mails = machine.mails()[:4]
        attached = [json.loads(part.get_content()) for mail in mails for part in mail.iter_attachments()]
        assert [mail["To"] for mail in mails] == [ANNA] * 4
        assert {Path(document["source"]).name for document in attached} == set(samples.SAMPLES)
        for document in attached:
            jsonschema.validate(document, SCHEMA)
            assert document == json.loads((machine.store / keys.word_counts(Path(document["source"]).name)).read_text())

    def test_nothing_is_left_running_and_no_temporary_folder(self, machine: Machine, first: Run) -> None:
        assert first.status == 0
        eventually(lambda: not machine.processes())
        assert machine.scratch_folders() == []

    def test_the_second_run_knows_every_picture(self, second: Run, first: Run) -> None:
        assert [(each["cached"], each["error"]) for each in second.objects] == [(True, None)] * 4
        assert all(f"{each['words']:,}" in first.stdout for each in second.objects)

    def test_the_second_run_starts_neither_tesseract_nor_a_jvm(self, machine: Machine, second: Run) -> None:
        assert second.status == 0
        assert (machine.starts_of("tesseract"), machine.starts_of("java")) == ([], [])
        subprocess.run(["java", "-version"], env=machine.environment, check=True, capture_output=True)
        assert len(machine.starts_of("java")) == 1, "starts of Java are not even counted"

    def test_the_second_run_is_another_delivery_and_mails_again(self, machine: Machine, second: Run) -> None:
        assert [each["notified"] for each in second.objects] == [ANNA] * 4
        mails = machine.mails()
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


class TestBadPictures:
    """Some pictures of a call are broken, and one is not."""

    BROKEN: ClassVar = {
        "letter.png": "NotAPicture",
        "cut.png": "UnreadablePicture",
        "empty.png": "EmptyPicture",
        "paper.pdf": "UnsupportedFormat",
    }

    @pytest.fixture
    def broken(self, tmp_path: Path, pictures: Path) -> Path:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "letter.png").write_text("Dear Sir or Madam,\nthis is no picture.\n")
        (folder / "cut.png").write_bytes((pictures / samples.CLEAN).read_bytes()[:20_000])
        (folder / "empty.png").touch()
        (folder / "paper.pdf").write_bytes(b"%PDF-1.7\n")
        return folder

    def test_they_are_told_of_moved_aside_and_do_not_stop_the_others(self, connected: Machine, broken: Path) -> None:
        good, missing = draw(connected.folder / "good.png", "one good picture"), connected.folder / "none.png"
        before = _bytes_of(broken)
        run = connected.run(*(broken / name for name in self.BROKEN), missing, good, "--to", ANNA, "--json")
        *failed, absent, fine = run.objects
        assert run.status == 1
        assert [each["error"]["kind"] for each in failed] == list(self.BROKEN.values())
        assert all(len(each["error"]["message"]) > 20 for each in failed)
        assert [set(each) for each in run.objects] == [FIELDS] * 6
        assert [(each["notified"], each["outputs"]) for each in failed] == [(ANNA, {})] * 4
        assert (absent["error"]["kind"], absent["notified"], str(missing) in absent["upload"]) == (
            "NotFound",
            None,
            True,
        )
        assert (fine["error"], fine["words"], words_of(fine["outputs"]["word_counts"])["picture"]) == (None, 3, 1)
        assert _bytes_of(broken) == before
        for name, kind in self.BROKEN.items():
            assert (connected.store / "failed" / name).read_bytes() == before[name]
            assert json.loads((connected.store / "failed" / f"{name}.reason.json").read_text())["kind"] == kind
            assert not (connected.store / "input" / name).exists()
        subjects = {mail["Subject"] for mail in connected.mails()}
        assert subjects == {"3 words in good.png", *(f"{name} could not be read" for name in self.BROKEN)}
        assert "Traceback" not in run.stderr


def test_wrong_usage_is_said_in_a_sentence_and_ends_with_2(machine: Machine) -> None:
    picture = draw(machine.folder / "page.png", "page")
    calls: list[tuple[list[str | Path], dict[str, str], str]] = [
        ([], {}, "PICTURE"),
        ([picture, "--frobnicate"], {}, "--frobnicate"),
        ([picture, "--min-confidence", "200"], {}, "0 to 100"),
        ([picture, "--to", "nonsense"], {}, "'nonsense' is not a mail address"),
        ([picture, "--engine", "nonsense"], {}, "nonsense"),
        ([picture, "--after", "burn"], {}, "burn"),
        ([picture, "--store", "s3://"], {}, "s3://bucket"),
        ([picture], {"INKTALLY_ENGINE": "nonsense"}, "nonsense"),
        ([picture], {"INKTALLY_DEADLINE_SECONDS": "soon"}, "INKTALLY_DEADLINE_SECONDS"),
    ]
    begun = [machine.start(*arguments, **settings) for arguments, settings, _ in calls]
    for process, (arguments, settings, said) in zip(begun, calls, strict=True):
        run = ended(process)
        assert (run.status, run.stdout) == (2, ""), (arguments, settings)
        assert said in run.stderr
        assert "Traceback" not in run.stderr
    assert not machine.store.exists()


class TestNames:
    """Files may be called anything."""

    ODD: ClassVar = [
        "blank name.png",
        "plus + 100% 50%25 caf\N{LATIN SMALL LETTER E WITH ACUTE}.png",
        "new\nline.png",
        "-dash.png",
        "n" * 196 + ".png",
        "{0} {upload} [bold]x.png",
        "a.png",
        "a.png~/b.png",
        "a/b.png",
        "one/same.png",
        "other/same.png",
        "\N{DUCK}\N{CJK UNIFIED IDEOGRAPH-9D28} \N{RIGHT-TO-LEFT OVERRIDE}.png",
    ]

    def test_every_file_of_a_folder_keeps_its_name_and_its_folders(self, connected: Machine) -> None:
        folder = connected.folder / "pictures"
        for name in self.ODD:
            draw(folder / name, "same words")
        (folder / b"latin-\xe9.png".decode("utf-8", "surrogateescape")).write_bytes((folder / "a.png").read_bytes())
        run = connected.run(folder, "--json", "--to", ANNA, INKTALLY_STORE=folder / "store")
        names = sorted([*self.ODD, "latin-\\xe9.png"])
        assert (run.status, [each["error"] for each in run.objects]) == (0, [None] * 13)
        assert sorted(_relative(folder / "store" / "input", run.objects)) == names
        assert [words_of(folder / "store" / keys.word_counts(name)) for name in names] == [{"same": 1, "words": 1}] * 13
        assert len(connected.mails()) == 13
        assert connected.recognitions() == 1

        again = connected.run(folder, INKTALLY_STORE=folder / "store")
        assert (again.status, again.stdout.count("cached")) == (0, 13), "the copies in the store are no new pictures"

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

    def test_a_missing_file_may_have_any_name_too(self, connected: Machine) -> None:
        run = connected.run("--json", b"gone-\xe9.png", "s3://", "")
        assert run.status == 1
        assert [each["error"]["kind"] for each in run.objects] == ["NotFound", "BadSettings", "NotFound"]


class TestOptions:
    """One machine, whose runs build on each other where that saves time."""

    def test_afterwards_only_the_copy_in_the_store_is_archived_or_deleted(self, connected: Machine) -> None:
        kept, other = draw(connected.folder / "kept.png", "kept words"), connected.folder / "other"
        run = connected.run(kept, "--after", "archive", "--store", other, "--json")
        assert (run.status, kept.exists(), connected.store.exists()) == (0, True, False)
        assert (other / "archive" / "kept.png").read_bytes() == kept.read_bytes()
        assert not (other / "input" / "kept.png").exists()
        assert Path(run.only["outputs"]["word_counts"]).is_relative_to(other)

        run = connected.run(kept, "--after", "delete", "--store", other, "--json")
        assert (run.status, run.only["cached"], kept.exists()) == (0, True, True)
        assert not (other / "input" / "kept.png").exists()

    def test_confidence_counts_anew_and_refresh_recognises_anew(self, connected: Machine) -> None:
        picture = draw(connected.folder / "page.png", "some plain words")
        first, strict, refreshed = (
            connected.run(picture, "--json", *options).only
            for options in ([], ["--min-confidence", "100"], ["--refresh"])
        )
        assert (first["cached"], first["words"]) == (False, 3)
        assert (strict["cached"], strict["words"], strict["error"]) == (True, 0, None)
        assert (refreshed["cached"], refreshed["words"], refreshed["outputs"]) == (False, 3, first["outputs"])
        assert connected.recognitions() == 2

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


class TestTwoAtOnce:
    """Two processes get the same picture at the same moment."""

    @pytest.mark.parametrize("other_name", ["page.png", "copy.png"])
    def test_it_is_recognised_once_and_both_are_answered(self, connected: Machine, other_name: str) -> None:
        connected.slow_down_tesseract(2)
        page = draw(connected.folder / "page.png", "sent twice")
        other = connected.folder / "elsewhere" / other_name
        other.parent.mkdir()
        shutil.copy(page, other)
        processes = [connected.start(page, "--to", ANNA, "--json"), connected.start(other, "--to", ANNA, "--json")]
        runs = [ended(process) for process in processes]
        assert [run.status for run in runs] == [0, 0], [run.stderr for run in runs]
        assert connected.recognitions() == 1
        assert sorted(run.only["cached"] for run in runs) == [False, True]
        assert [set(run.only["outputs"]) for run in runs] == [OUTPUTS] * 2
        assert len(connected.mails()) == 2

    def test_one_that_comes_while_the_other_is_being_read_waits_for_it(self, connected: Machine) -> None:
        connected.slow_down_tesseract(4)
        page = draw(connected.folder / "page.png", "sent twice")
        first = connected.start(page, "--to", ANNA, "--json")
        eventually(connected.recognitions)
        second = connected.run(page, "--to", "bob@example.org", "--json")
        assert (ended(first).status, second.status, connected.recognitions()) == (0, 0, 1)
        assert sorted(mail["To"] for mail in connected.mails()) == [ANNA, "bob@example.org"]


def test_the_command_explains_itself(machine: Machine) -> None:
    told = subprocess.run([*COMMAND, "--help"], env=machine.environment, capture_output=True, text=True, check=True)
    options = ("language", "engine", "to", "store", "after", "min-confidence", "refresh", "json")
    assert [option for option in options if f"--{option} " not in told.stdout.replace("]", " ")] == []


def _totals(counts: str) -> tuple[int, int]:
    words = words_of(counts)
    return sum(words.values()), len(words)


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _relative(folder: Path, objects: list[dict[str, Any]]) -> list[str]:
    return [str(Path(each["upload"]).relative_to(folder)) for each in objects]
