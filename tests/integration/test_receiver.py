"""The receiver as senders meet it: over HTTP, with everything that may come from a wire."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from hypothesis import HealthCheck, given, settings as how_often, strategies as st
from pydantic import SecretStr

from inktally.delivery import Upload
from inktally.settings import Settings
from tests.support import messages
from tests.support.forks import Forks
from tests.support.machine import environment_of_servers
from tests.support.messages import CERTIFICATE_URL, TOPIC, Message, OwnSns
from tests.support.receivers import Running, running_receiver
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from web.hooks.announcing import MOST, ROOM
from web.hooks.receiver import MOST_BYTES

SECRET = "a secret for one test: ü + 1"
HOOK = "/hooks/s3"


def settings_for(folder: Path, **others: Any) -> Settings:
    given_settings: dict[str, Any] = {
        "hook_secret": SecretStr(SECRET),
        "sns_topics": f"{TOPIC}, arn:aws:sns:eu-central-1:111122223333:others",
        "dead_letters": folder / "dead letters",
        "hook_window_seconds": 0.05,
    }
    return Settings(_env_file=None, **(given_settings | others))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Running]:
    with running_receiver(settings_for(tmp_path)) as running:
        yield running


def post(receiver: Running, message: Message | bytes, **headers: str) -> httpx.Response:
    """As somebody who knows the secret."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return receiver.http.post(HOOK, content=body, headers={"X-Inktally-Secret": SECRET.encode(), **headers})  # type: ignore[arg-type]


class TestSenders:
    """Whoever shows the secret, and SNS for our topics."""

    @pytest.mark.parametrize("sender", [messages.s3, messages.ceph, messages.minio, messages.eventbridge])
    def test_every_sender_starts_a_run_of_the_upload(self, receiver: Running, sender: Any) -> None:
        answer = post(receiver, sender("input/page 1+2 ü.png"))
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "repeated": 0})
        assert receiver.runs.soon(1) == [Upload(key="input/page 1+2 ü.png", store="s3://letters")]

    @pytest.mark.parametrize(
        ("headers", "query"),
        [
            ({"X-Inktally-Secret": SECRET.encode()}, {}),
            ({"Authorization": f"Bearer {SECRET}".encode()}, {}),
            ({"Authorization": f"bearer {SECRET}".encode()}, {}),
            ({}, {"secret": SECRET}),
        ],
    )
    def test_the_secret_is_shown_in_a_header_or_in_the_query(
        self, receiver: Running, headers: dict[str, bytes], query: dict[str, str]
    ) -> None:
        answer = receiver.http.post(HOOK, json=messages.ceph(), headers=headers, params=query)  # type: ignore[arg-type]
        assert answer.status_code == 202

    @pytest.mark.parametrize(
        ("headers", "query"),
        [
            ({}, {}),
            ({"X-Inktally-Secret": b""}, {"secret": ""}),
            ({"X-Inktally-Secret": SECRET.encode() + b"x"}, {}),
            ({"Authorization": f"Basic {SECRET}".encode()}, {}),
            ({"Authorization": b"Bearer"}, {}),
            ({}, {"Secret": SECRET}),
            ({"x-amz-sns-message-type": b"Notification"}, {}),
        ],
    )
    def test_others_are_refused(self, receiver: Running, headers: dict[str, bytes], query: dict[str, str]) -> None:
        for body in (json.dumps(messages.s3()).encode(), b"{", b"\xff"):
            answer = receiver.http.post(HOOK, content=body, headers=headers, params=query)  # type: ignore[arg-type]
            assert answer.status_code == 403
        time.sleep(0.1)
        assert receiver.runs.uploads == []
        assert receiver.metric("inktally_dead_letters_total") == 0

    def test_without_a_secret_only_this_machine_itself_may_send(self, tmp_path: Path) -> None:
        with running_receiver(settings_for(tmp_path, hook_secret=SecretStr(""))) as local:
            assert local.http.post(HOOK, json=messages.s3()).status_code == 202
            for sign in ("X-Forwarded-For", "Forwarded", "Via", "Origin"):
                assert local.http.post(HOOK, json=messages.s3(), headers={sign: "x"}).status_code == 403
        open_to_all = settings_for(tmp_path, hook_secret=SecretStr(""), web_host="0.0.0.0")  # noqa: S104
        with running_receiver(open_to_all) as public:  # it listens on the loopback all the same
            assert public.http.post(HOOK, json=messages.s3()).status_code == 403


class TestSns:
    """An SNS with keys of our own."""

    @pytest.mark.parametrize("version", ["1", "2"])
    def test_a_signed_message_needs_no_secret(self, receiver: Running, version: str) -> None:
        message = receiver.sns.notification(messages.s3("input/a b.png"), SignatureVersion=version)
        answer = receiver.http.post(HOOK, content=json.dumps(message), headers={"Content-Type": "text/plain"})
        assert answer.status_code == 202
        assert receiver.runs.soon(1) == [Upload(key="input/a b.png", store="s3://letters")]

    def test_the_certificate_is_fetched_once(self, receiver: Running) -> None:
        for n in range(3):
            receiver.http.post(HOOK, json=receiver.sns.notification(messages.s3(f"input/{n}.png")))
        assert receiver.sns.asked == [CERTIFICATE_URL]

    def test_a_subscription_is_confirmed_where_the_message_says(self, receiver: Running) -> None:
        message = receiver.sns.confirmation()
        assert receiver.http.post(HOOK, json=message).json() == {"confirmed": TOPIC}
        assert receiver.sns.asked == [CERTIFICATE_URL, message["SubscribeURL"]]

    def test_the_end_of_a_subscription_is_only_noted(self, receiver: Running) -> None:
        answer = receiver.http.post(HOOK, json=receiver.sns.confirmation("UnsubscribeConfirmation"))
        assert (answer.status_code, receiver.sns.asked) == (200, [CERTIFICATE_URL])

    def test_forged_messages_are_refused_and_nobody_is_asked_for_them(self, receiver: Running) -> None:
        forged = [
            receiver.sns.notification(TopicArn=f"{TOPIC}-of-mine"),
            receiver.sns.notification(SigningCertURL="https://example.org/a.pem"),
            receiver.sns.notification(Timestamp="2020-01-01T00:00:00.000Z"),
            receiver.sns.notification() | {"SignatureVersion": "3"},
            receiver.sns.notification() | {"MessageId": 1},
            receiver.sns.confirmation(TopicArn=f"{TOPIC}-of-mine"),
        ]
        assert [post(receiver, message).status_code for message in forged] == [403] * len(forged)
        assert receiver.sns.asked == []
        changed = receiver.sns.notification() | {"Message": json.dumps(messages.s3("input/mine.png"))}
        elsewhere = receiver.sns.confirmation(SubscribeURL="https://example.org/?Action=ConfirmSubscription&Token=a")
        assert [post(receiver, message).status_code for message in (changed, elsewhere)] == [403, 403]
        assert (receiver.sns.asked, receiver.runs.uploads) == ([CERTIFICATE_URL], [])

    def test_naming_ever_new_certificates_ends_soon(self, receiver: Running) -> None:
        urls = [CERTIFICATE_URL.replace("0123", f"{n:04}") for n in range(1, 20)]
        answers = [receiver.http.post(HOOK, json=receiver.sns.notification(SigningCertURL=url)) for url in urls]
        assert [answer.status_code for answer in answers] == [403] * 10 + [429] * 9
        assert len(receiver.sns.asked) == 10

    def test_sns_is_asked_to_come_again_when_its_certificate_cannot_be_had(self, receiver: Running) -> None:
        receiver.sns.broken = True
        answer = receiver.http.post(HOOK, json=receiver.sns.notification())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


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


class TestTheWire:
    """Bodies of any size, requests of any shape."""

    def test_a_body_that_is_too_large_is_refused_before_it_is_read(self, receiver: Running) -> None:
        assert post(receiver, b" " * (MOST_BYTES + 1)).status_code == 413
        head = f"POST {HOOK} HTTP/1.1\r\nHost: localhost\r\nX-Inktally-Secret: x\r\nContent-Length: {10**15}\r\n\r\n"
        assert spoken(receiver, head.encode()).startswith(b"HTTP/1.1 413")

    def test_a_body_without_a_length_is_cut_off(self, receiver: Running) -> None:
        chunk = b" " * 65_536
        answer = receiver.http.post(HOOK, content=(chunk for _ in range(17)), headers={"X-Inktally-Secret": "x"})
        assert answer.status_code == 413

    def test_the_largest_body_is_taken(self, receiver: Running) -> None:
        body = json.dumps(messages.s3()).encode()
        assert post(receiver, body + b" " * (MOST_BYTES - len(body))).status_code == 202

    @pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x", "text/html", ""])
    def test_a_body_that_says_it_is_something_else_is_refused(self, receiver: Running, content_type: str) -> None:
        assert post(receiver, messages.s3(), **{"Content-Type": content_type}).status_code == 415

    @pytest.mark.parametrize(
        "kind", ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"]
    )
    def test_senders_call_json_by_many_names(self, receiver: Running, kind: str) -> None:
        assert post(receiver, messages.s3(), **{"Content-Type": kind}).status_code == 202

    def test_headers_without_end_are_cut_off(self, receiver: Running) -> None:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: localhost\r\nEndless: ".encode()
        with (
            socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection,
            suppress(ConnectionError),
        ):
            connection.sendall(head)
            for _ in range(1000):
                connection.sendall(b"x" * 65_536)
            pytest.fail("65 MB of headers were taken")
        assert receiver.http.get("/healthz").status_code == 200

    def test_other_methods_and_paths_are_not_there(self, receiver: Running) -> None:
        assert receiver.http.get(HOOK).status_code == 405
        assert receiver.http.post("/").status_code == 404
        assert receiver.http.get("/docs").status_code == 404

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            f"POST {HOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".encode(),
            f"POST {HOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".encode(),
            f"POST {HOOK}?secret=%ff%00 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
            f"POST {HOOK} HTTP/1.1\r\nHost: [::1]\r\nX-Inktally-Secret: \xff\r\nContent-Length: 2\r\n\r\n{{}}".encode(
                "latin-1"
            ),
        ],
    )
    def test_nonsense_is_refused(self, receiver: Running, request_bytes: bytes) -> None:
        assert spoken(receiver, request_bytes).startswith(b"HTTP/1.1 4")
        assert receiver.http.get("/healthz").status_code == 200

    def test_one_who_hangs_up_in_the_middle_harms_nobody(self, receiver: Running) -> None:
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            connection.sendall(f"POST {HOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert post(receiver, messages.s3()).status_code == 202


def spoken(receiver: Running, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(4096)


@st.composite
def strange_requests(draw: st.DrawFn, own_sns: OwnSns) -> tuple[bytes, dict[str, bytes]]:
    """A body and headers that must start no run: forged, old, broken, or not meant for us."""
    texts = st.text(max_size=50)
    values = st.recursive(
        st.none() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
    )
    fields = st.sampled_from(["Message", "Type", "Timestamp", "TopicArn", "Signature", "SigningCertURL", "MessageId"])
    kind = draw(st.sampled_from(["forged", "changed", "old", "no secret", "bytes", "json", "cut off", "large"]))
    secret = {} if kind in {"forged", "no secret"} else {"X-Inktally-Secret": SECRET.encode()}
    body = json.dumps(messages.s3(draw(texts))).encode()
    if kind == "forged":
        body = json.dumps(own_sns.notification() | {draw(fields): draw(values)}).encode()
    elif kind == "changed":
        message = json.dumps(messages.s3(f"input/{draw(st.integers())}.png"))
        body = json.dumps(own_sns.notification() | {"Message": message}).encode()
    elif kind == "old":
        year = draw(st.integers(2000, 2025))
        body = json.dumps(own_sns.notification(Timestamp=f"{year}-01-01T00:00:00.000Z")).encode()
    elif kind == "bytes":
        body = draw(st.binary(max_size=1000))
    elif kind == "json":
        body = json.dumps(draw(values | st.fixed_dictionaries({"Records": values}))).encode()
    elif kind == "cut off":
        whole = json.dumps(messages.s3()).encode()
        body = whole[: draw(st.integers(0, len(whole) - 1))]
    elif kind == "large":
        body = b"[" * draw(st.integers(1, 2 * MOST_BYTES))
    return body, secret


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_receiver(settings_for(tmp_path_factory.mktemp("receiver"))) as running:
        yield running


@how_often(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_strange_is_an_error_of_ours_or_starts_a_run(lasting: Running, data: st.DataObject) -> None:
    body, headers = data.draw(strange_requests(lasting.sns))
    answer = lasting.http.post(HOOK, content=body, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code < 500
    assert lasting.runs.uploads == []


def test_a_message_recorded_on_the_wire_and_sent_again_starts_no_run(lasting: Running) -> None:
    recorded = lasting.sns.notification(messages.s3("input/recorded.png"))
    assert lasting.http.post(HOOK, json=recorded).json()["accepted"] == 1
    begun = len(lasting.runs.soon(1))
    answers = [lasting.http.post(HOOK, json=recorded) for _ in range(50)]
    assert {(answer.status_code, answer.json()["accepted"]) for answer in answers} == {(202, 0)}
    time.sleep(0.2)
    assert len(lasting.runs.uploads) == begun


def test_ceph_itself_rings(ceph: S3Server, tmp_path: Path) -> None:
    """The gateway's own notifications, with the secret in the query as Ceph can show it."""
    bucket, secret = ceph.new_bucket(), "plain-secret"
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    with running_receiver(settings_for(tmp_path, hook_secret=SecretStr(secret))) as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}{HOOK}?secret={secret}"
        sns = session.client("sns", endpoint_url=ceph.endpoint)
        topic = sns.create_topic(Name="pictures", Attributes={"push-endpoint": endpoint})
        configuration = {"Id": "pictures", "TopicArn": topic["TopicArn"], "Events": ["s3:ObjectCreated:*"]}
        ceph.client.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={"TopicConfigurations": [configuration]},  # type: ignore[list-item]
        )
        keys = ["input/page.png", "input/a b+c%20ü.png", "input/notes.txt"]
        for key in keys:
            ceph.client.put_object(Bucket=bucket, Key=key, Body=b"x")
        uploads = receiver.runs.soon(2)
        assert sorted(upload.key for upload in uploads) == sorted(keys[:2])
        assert {upload.store for upload in uploads} == {f"s3://{bucket}"}


class TestReplay:
    """python -m web.replay"""

    def test_a_recorded_event_is_sent_as_its_sender_sent_it(self, receiver: Running, tmp_path: Path) -> None:
        event = tmp_path / "event.json"
        event.write_text(json.dumps(messages.ceph("input/replayed.png")))
        done = replay(receiver, event)
        assert (done.returncode, '202 {"accepted":1' in done.stdout) == (0, True)
        assert [upload.key for upload in receiver.runs.soon(1)] == ["input/replayed.png"]

    def test_what_is_refused_ends_with_1(self, receiver: Running, tmp_path: Path) -> None:
        event = tmp_path / "event.json"
        event.write_text(json.dumps(receiver.sns.notification(TopicArn="mine")))
        assert replay(receiver, event).returncode == 1
        gone = replay(receiver, tmp_path / "gone.json")
        assert (gone.returncode, "Traceback" in gone.stderr) == (1, False)


def replay(receiver: Running, event: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "web.replay", str(event)]
    environment = {"INKTALLY_HOOK_SECRET": SECRET, "INKTALLY_WEB_PORT": str(receiver.port), "PYTHONUTF8": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
