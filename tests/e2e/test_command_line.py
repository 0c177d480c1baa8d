"""The command as its users type it: what it prints, what it leaves, and what its options do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from deployments import samples
from flows import ocr_flow
from flows.commands.uploads import main
from inktally import keys
from inktally.outputs.shared import registry
from tests.support.forks import Forks
from tests.support.machine import PROJECT, Machine, Run, draw, ended, new_machine, words_of
from tests.support.waiting import eventually

ANNA = "anna@example.org"
SCHEMA = json.loads((PROJECT / "inktally" / "schemas" / "word_counts.schema.json").read_text())
FIELDS = {
    *("upload", "etag", "cached", "words", "distinct", "mean_confidence"),
    *("outputs", "seconds", "notified", "warnings", "error"),
}
OUTPUTS = {"plain_text", "coordinates_text", "coordinates_json", "word_counts"}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[Machine]:
    """A new machine, without servers; used first by `first`, then by `second`."""
    with new_machine(tmp_path_factory.mktemp("machine"), forks) as made:
        yield made


@pytest.fixture(scope="module")
def both(used: Machine, pictures: Path, spark_server: str) -> tuple[Run, Run]:
    """Nothing is configured, no server runs, Spark starts in the process; and another command begins just then."""
    page = draw(used.folder / "page.png", "at the same moment")
    samples_run = used.start(pictures, "--to", ANNA, cold=True)
    own = {"INKTALLY_STORE": used.folder / "other", "INKTALLY_SPARK_REMOTE": spark_server}
    other = used.start(page, "--json", cold=True, **own)
    return ended(samples_run), ended(other)


@pytest.fixture(scope="module")
def first(both: tuple[Run, Run]) -> Run:
    """The samples on a new machine."""
    return both[0]


@pytest.fixture(scope="module")
def second(used: Machine, pictures: Path, first: Run, prefect_server: str) -> Run:  # noqa: ARG001 - which came before
    """The same pictures again, with a Prefect server."""
    used.count_starts_of("java")
    used.forget_starts()
    return used.run(pictures, "--to", ANNA, "--json", PREFECT_API_URL=prefect_server)


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
        process = used.start(draw(used.folder / "late.png", "never mind"), "--json", cold=True)
        eventually(used.recognitions)
        os.killpg(process.pid, signal.SIGINT)
        begun = time.monotonic()
        run = ended(process)
        assert (run.status, run.stdout, "Traceback" in run.stderr) == (130, "", False)
        assert time.monotonic() - begun < 10
        eventually(lambda: not used.processes())
        assert used.scratch_folders() == []


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


def _totals(counts: str) -> tuple[int, int]:
    words = words_of(counts)
    return sum(words.values()), len(words)
