"""What may come from a wire: bodies of any size, strange requests, and the messages of Ceph itself."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from hypothesis import HealthCheck, given, settings as how_often, strategies as st
from pydantic import SecretStr

from tests.support import messages
from tests.support.messages import OwnSns
from tests.support.receivers import HOOK, SECRET, Running, post, running_receiver, settings_for
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from web.hooks.receiver import MOST_BYTES


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
