"""A batch by its command: what is counted, what is left alone, and what a kill costs."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inktally import keys
from inktally.batch.place import place_of
from inktally.lease import leased
from inktally.settings import Settings
from tests.support.machine import OWN_CHILDREN, Machine, Run, draw, ended, words_of
from tests.support.servers import S3Server, ceph_is_installed, running_ceph
from tests.support.waiting import eventually

BATCH = (sys.executable, "-m", "flows.batch_flow")
ANNA = "anna@example.org"
TEXTS = ("Hand made words", "more words here", "one two three", "four five six words", "the last words")
KILLED = -signal.SIGKILL


@pytest.fixture
def batch(connected: Machine) -> Machine:
    connected.command = BATCH
    connected.environment |= {"INKTALLY_LEASE_SECONDS": "3", **OWN_CHILDREN}
    return connected


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five pictures."""
    folder = tmp_path / "pictures"
    for number, text in enumerate(TEXTS):
        draw(folder / f"part {number % 2}" / f"{number}.png", text)
    return folder


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """All files of a folder, and what would change with them."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def totals(summary: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The words of the batch's report: count and pictures."""
    with Path(summary["reports"]["words"]).open(encoding="utf-8-sig", newline="") as file:
        return {row["word"]: (int(row["count"]), int(row["pictures"])) for row in csv.DictReader(file)}


def recounted(machine: Machine) -> dict[str, tuple[int, int]]:
    """The same of the counts of each picture, in plain Python."""
    each = [words_of(path) for path in (machine.store / "output" / "word_counts").rglob("*.json")]
    counts = sum((Counter(words) for words in each), Counter[str]())
    return {word: (count, sum(word in words for words in each)) for word, count in counts.items()}


def tally(run: Run) -> dict[str, int]:
    """What became of the pictures, without the zeros."""
    return {name: number for name, number in run.only["tally"].items() if number}


def test_a_folder_is_counted_once_and_left_as_it_was(batch: Machine, pictures: Path) -> None:
    same = (pictures / "part 0" / "0.png").read_bytes()
    for name in ('copy "1"\nof \u00e9.png', "copy 2.PNG", ".hidden.png", ".cache/copy.png"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(same)
    (pictures / "broken.png").write_bytes(b"no picture")
    draw(pictures / "blank.png", " " * 9)
    before = files(pictures)

    planned = batch.run(pictures, "--dry-run", "--json", cold=True).only
    assert {name: number for name, number in planned.items() if number} == {
        "pictures": 9,
        "duplicates": 2,
        "new": 7,
        "bytes": sum((pictures / name).stat().st_size for name in ("broken.png", "blank.png"))
        + sum(path.stat().st_size for path in pictures.glob("part */*.png")),
    }
    assert not batch.store.exists()

    first = batch.run(pictures, "--json")
    assert (first.status, tally(first)) == (
        0,
        {"recognised": 6, "known": 2, "rejected": 1, "answered": 9, "words": 22},
    )
    assert totals(first.only) == recounted(batch)
    assert totals(first.only)["words"] == (6, 6)
    assert [failure["problem"]["kind"] for failure in first.only["failures"]] == ["NotAPicture"]
    assert files(pictures) == before
    assert not list((batch.store / "batches").rglob("*.parquet"))

    batch.forget_starts()
    after = files(batch.store / "output")
    again = batch.run(pictures, "--json")
    assert (again.status, tally(again), batch.recognitions()) == (0, {"answered_before": 9}, 0)
    assert files(batch.store / "output") == after
    assert "9  have an answer" in batch.run(pictures, "--dry-run").stdout


def test_an_empty_folder_and_a_store_that_is_away_are_said(batch: Machine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    away = {"INKTALLY_S3_ENDPOINT": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    empty, down, dry = (
        batch.start(tmp_path / "empty"),
        batch.start("s3://bucket/a/", **away),
        batch.start("s3://bucket/a/", "--dry-run", **away),
    )
    assert (ended(empty).status, empty.returncode) == (0, 0)
    for process in (down, dry):
        run = ended(process)
        assert (run.status, "Traceback" in run.stderr, "127.0.0.1:9" in run.stderr) == (1, False, True)


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> tuple[Machine, S3Server, str]:
    return bucket_of(s3, request.getfixturevalue("batch"))  # after the server, whose credentials it inherits


@pytest.fixture
def mortal(s3_environment: None, request: pytest.FixtureRequest) -> Iterator[tuple[Machine, S3Server, str]]:  # noqa: ARG001
    """On a server that a test may kill."""
    with running_ceph() as server:
        yield bucket_of(server, request.getfixturevalue("batch"))


def bucket_of(s3: S3Server, machine: Machine) -> tuple[Machine, S3Server, str]:
    machine.environment["INKTALLY_S3_ENDPOINT"] = s3.endpoint
    machine.environment["INKTALLY_S3_REGION"] = "us-east-1"
    del machine.environment["INKTALLY_STORE"]
    return machine, s3, s3.new_bucket()


def test_uploaders_of_a_bucket_are_mailed_once(bucket: tuple[Machine, S3Server, str]) -> None:
    machine, server, name = bucket
    keys = ("in 100%/a.png", "in 100%/b/copy.png", "elsewhere/c.png")
    content = draw(machine.folder / "a.png", "words in a bucket").read_bytes()
    for key in keys:
        server.client.put_object(Bucket=name, Key=key, Body=content, Metadata={"email": ANNA, "language": "eng"})
    first, second = (machine.run(f"s3://{name}/in 100%/", "--json", "--outputs", "word_counts,pdf") for _ in range(2))
    assert (first.status, tally(first)) == (0, {"recognised": 1, "known": 1, "answered": 2, "words": 8}), first.stderr
    assert (second.status, tally(second)) == (0, {"answered_before": 2})
    assert [mail["To"] for mail in machine.mails()] == [ANNA, ANNA]
    listed = [each["Key"] for each in server.client.list_objects_v2(Bucket=name)["Contents"]]
    assert {key for key in listed if key.startswith("output/word_counts/")} == {
        f"output/word_counts/{key}.json" for key in keys[:2]
    }
    assert not any(key.startswith(("batches/", "locks/")) for key in listed)
    assert tally(machine.run(f"s3://{name}/o", "--json")) == {}  # its own PDFs


@pytest.mark.long
@pytest.mark.skipif(not ceph_is_installed(), reason="moto keeps nothing when it is killed")
def test_a_store_that_vanishes_for_some_seconds_costs_only_time(mortal: tuple[Machine, S3Server, str]) -> None:
    machine, server, name = mortal
    assert server.gateway is not None
    for number, text in enumerate(TEXTS):
        content = draw(machine.folder / "drawn.png", text).read_bytes()
        server.client.put_object(Bucket=name, Key=f"input/{number}.png", Body=content)
    machine.slow_down_tesseract(1.0)
    running = machine.start(f"s3://{name}", "--json")
    eventually(machine.recognitions, 240)
    server.gateway.kill()
    time.sleep(4)
    server.gateway.start()
    run = ended(running)
    assert (run.status, run.only["tally"]["answered"], machine.recognitions()) == (0, 5, 5), run.stderr


@pytest.mark.long
def test_a_run_that_is_killed_while_it_recognises_loses_nothing_that_was_finished(
    batch: Machine, pictures: Path
) -> None:
    batch.slow_down_tesseract(1.0)
    killed = batch.start(pictures, "--json", INKTALLY_RECOGNITION_WORKERS="1")
    recognitions = batch.store / "recognitions"
    eventually(lambda: len(list(recognitions.rglob("*.json"))) >= 2, 240)
    os.killpg(killed.pid, signal.SIGKILL)
    eventually(lambda: not batch.processes(), 10)  # the next recognition was just beginning
    finished, begun = len(list(recognitions.rglob("*.json"))), batch.recognitions()
    run = batch.run(pictures, "--json")
    assert (run.status, run.only["tally"]["answered"]) == (0, len(TEXTS))
    assert batch.recognitions() - begun <= len(TEXTS) - finished
    assert totals(run.only) == recounted(batch)


@pytest.mark.long
def test_a_run_that_is_killed_while_it_answers_is_finished_by_the_next(batch: Machine, pictures: Path) -> None:
    for number in range(300):
        shutil.copy(pictures / "part 0" / "0.png", pictures / f"copy {number}.png")
    killed = batch.start(pictures, "--json")
    eventually(lambda: len(batch.markers("answered")) > 20, 240, 0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    answered = len(batch.markers("answered"))
    assert answered < 300 + len(TEXTS), "it was too quick to be killed"
    batch.forget_starts()
    draw(pictures / "late.png", "came too late")
    run = batch.run(pictures, "--json")
    assert (run.status, run.only["resumed"], batch.recognitions()) == (0, True, 0)
    assert run.only["tally"]["answered"] == 300 + len(TEXTS)
    assert totals(run.only)["made"] == (301, 301)
    after = batch.run(pictures, "--json")
    assert tally(after) == {"answered_before": 305, "recognised": 1, "answered": 1, "words": 3}


def test_an_interrupted_run_stops_soon_and_leaves_nothing_running(batch: Machine, pictures: Path) -> None:
    batch.slow_down_tesseract(3.0)
    running = batch.start(pictures, "--json")
    eventually(batch.recognitions, 240)
    running.send_signal(signal.SIGINT)
    run = ended(running)
    assert (run.status, run.stdout) == (130, "")
    assert "goes on where this one stopped" in run.stderr
    eventually(lambda: not batch.processes(), 10)


def test_pictures_are_begun_no_faster_than_is_asked(batch: Machine, pictures: Path) -> None:
    run = batch.run(pictures, "--json", "--rate", "2")
    assert (run.status, run.only["tally"]["answered"]) == (0, len(TEXTS))
    assert run.only["seconds"]["recognise"] >= (len(TEXTS) - 1) / 2
    wrong = batch.run(pictures, "--rate", "0")
    assert (wrong.status, "0 is not more than 0" in wrong.stderr) == (2, True)


def test_a_second_batch_on_one_place_waits_and_then_says_that_another_is_at_work(
    batch: Machine, pictures: Path
) -> None:
    place = place_of(str(pictures), str(batch.store), Settings(_env_file=None))
    with leased(batch.opened_store, keys.batch_lease(place.name), ttl=3):
        run = batch.run(pictures, "--json")
    assert (run.status, run.stdout, "Another run is at work" in run.stderr) == (1, "", True)
    assert batch.recognitions() == 0
