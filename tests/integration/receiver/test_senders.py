"""The receiver as senders meet it: over HTTP, with everything that may come from a wire."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from inktally.delivery import Upload
from tests.support import messages
from tests.support.messages import CERTIFICATE_URL, TOPIC
from tests.support.receivers import HOOK, SECRET, Running, post, running_receiver, settings_for


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
