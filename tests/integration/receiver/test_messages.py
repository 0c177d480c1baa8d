"""Messages that start no run, that come together, or that come while Prefect is away."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from tests.support import messages
from tests.support.forks import Forks
from tests.support.machine import environment_of_servers
from tests.support.messages import Message
from tests.support.receivers import Running, post, running_receiver, settings_for
from web.hooks.announcing import MOST, ROOM


class TestLeftOut:
    """What is answered with 2xx, so that nobody sends it again, and starts no run."""

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (messages.test_event(), "test message"),
            (messages.s3("output/ocr_plain_text/page.png.txt"), "outside input"),
            (messages.ceph("input/notes.txt"), "no picture"),
            (messages.minio(event="s3:ObjectRemoved:Delete"), "not created"),
            (messages.eventbridge(what="Object Deleted"), "not created"),
        ],
    )
    def test_what_is_no_upload_is_answered_and_not_run(self, receiver: Running, message: Message, reason: str) -> None:
        answer = post(receiver, message)
        assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "repeated": 0, reason: 1})
        time.sleep(0.1)
        assert receiver.runs.uploads == []

    @pytest.mark.parametrize("body", [b"", b"Hello", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"Records": [{}]}', b"null"])
    def test_what_nobody_can_read_is_kept_for_a_person(self, receiver: Running, body: bytes, tmp_path: Path) -> None:
        assert [post(receiver, body).status_code for _ in range(3)] == [200] * 3
        (letter,) = (tmp_path / "dead letters").iterdir()
        assert json.loads(letter.read_text())["body"] == body.decode(errors="backslashreplace")
        assert json.loads(letter.read_text())["reason"]
        assert stat.S_IMODE(letter.stat().st_mode) == 0o600
        assert receiver.metric("inktally_dead_letters_total") == 3

    def test_a_command_lists_what_nobody_could_read(self, receiver: Running, forks: Forks, tmp_path: Path) -> None:
        post(receiver, b"Hello")
        environment = environment_of_servers(INKTALLY_DEAD_LETTERS=tmp_path / "dead letters")
        listed = forks.run(["-m", "web.dead_letters"], environment)
        (letter,) = (tmp_path / "dead letters").iterdir()
        assert str(letter) in listed
        assert "no JSON" in listed
        assert listed.endswith(f"1 dead letter in {letter.parent}\n")

    def test_the_folder_of_dead_letters_is_bounded_and_the_oldest_go(self, receiver: Running, tmp_path: Path) -> None:
        for n in range(220):
            post(receiver, f"letter {n}".encode())
        bodies = {json.loads(file.read_text())["body"] for file in (tmp_path / "dead letters").iterdir()}
        assert len(bodies) == 200
        assert "letter 219" in bodies
        assert "letter 0" not in bodies

    def test_of_a_message_that_is_half_readable_the_other_half_is_run(self, receiver: Running, tmp_path: Path) -> None:
        message = {"Records": [{"eventSource": "aws:ses"}, messages.s3_record()]}
        assert post(receiver, message).json() == {"accepted": 1, "repeated": 0, "unreadable": 1}
        assert len(receiver.runs.soon(1)) == 1
        assert len(list((tmp_path / "dead letters").iterdir())) == 1

    def test_a_folder_that_cannot_be_written_harms_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with running_receiver(settings_for(tmp_path, dead_letters=tmp_path / "file" / "folder")) as receiver:
            assert post(receiver, b"Hello").status_code == 200


class TestBatches:
    """Records that arrive together."""

    def test_records_of_one_message_are_one_batch(self, receiver: Running) -> None:
        keys = [f"input/{n}.png" for n in range(30)]
        assert post(receiver, messages.s3(*keys)).json()["accepted"] == 30
        assert [upload.key for upload in receiver.runs.soon(30)] == keys
        assert len(receiver.runs.batches) == 1

    def test_a_burst_of_messages_becomes_few_batches(self, receiver: Running) -> None:
        for n in range(200):
            assert post(receiver, messages.ceph(f"input/{n}.png")).status_code == 202
        assert len(receiver.runs.soon(200)) == 200
        assert len(receiver.runs.batches) <= 10
        assert max(map(len, receiver.runs.batches)) <= MOST

    def test_the_same_put_told_again_is_not_run_again(self, receiver: Running) -> None:
        assert post(receiver, messages.s3()).json() == {"accepted": 1, "repeated": 0}
        assert len(receiver.runs.soon(1)) == 1
        for told_again in (messages.s3(), messages.eventbridge(), receiver.sns.notification()):
            assert post(receiver, told_again).json() == {"accepted": 0, "repeated": 1}
        time.sleep(0.2)
        assert len(receiver.runs.uploads) == 1


class TestPrefectAway:
    """Honest to those who keep a message, quiet to those who would hammer."""

    def test_patient_senders_are_told_and_others_wait_in_memory(self, receiver: Running) -> None:
        receiver.runs.away = True
        assert receiver.http.get("/readyz").status_code == 503
        assert post(receiver, messages.ceph()).status_code == 202
        while not receiver.metric("inktally_prefect_down"):
            time.sleep(0.01)
        assert post(receiver, messages.minio("input/2.png")).status_code == 202
        for message in (messages.eventbridge("input/3.png"), receiver.sns.notification(messages.s3("input/3.png"))):
            answer = post(receiver, message)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert post(receiver, messages.eventbridge("output/1.txt")).status_code == 200
        assert receiver.http.get("/healthz").status_code == 200
        receiver.runs.away = False
        assert [upload.key for upload in receiver.runs.soon(2)] == ["input/page.png", "input/2.png"]
        assert receiver.http.get("/readyz").status_code == 200
        assert post(receiver, messages.eventbridge("input/3.png")).status_code == 202

    def test_when_there_is_no_room_the_rest_is_left_to_the_sweep(self, receiver: Running) -> None:
        receiver.runs.away = True
        for first in range(0, ROOM, 1000):
            records = [small_record(n) for n in range(first, first + 1000)]
            assert post(receiver, {"Records": records}).json()["accepted"] == 1000
        answer = post(receiver, messages.ceph())
        assert (answer.status_code, answer.json()["left to the sweep"]) == (202, 1)
        receiver.runs.away = False


def small_record(number: int) -> Message:
    entity = {"bucket": {"name": "letters"}, "object": {"key": f"input/{number}.png"}}
    return {"eventSource": "ceph:s3", "eventName": "ObjectCreated:Put", "s3": entity}
