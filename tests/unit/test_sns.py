"""Only what SNS has signed, now, for a topic of ours, is from SNS."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from inktally.errors import BadEvent, UnknownSender
from inktally.intake import sns
from tests.support import messages
from tests.support.messages import SNS, TOPIC, Message, OwnSns

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPICS = frozenset({TOPIC})


@pytest.fixture(scope="module")
def own_sns() -> OwnSns:
    return OwnSns(NOW)


def admit(message: Message, own_sns: OwnSns, now: datetime = NOW) -> None:
    """All checks of a message, with the certificate that it names."""
    envelope = sns.envelope_of(message)
    sns.check_claims(envelope, TOPICS, now)
    sns.verify(envelope, sns.certificate_from(own_sns.certificate), now)


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_verified(own_sns: OwnSns, version: str) -> None:
    admit(own_sns.notification(SignatureVersion=version), own_sns)
    admit(own_sns.confirmation(SignatureVersion=version), own_sns)
    admit(own_sns.confirmation("UnsubscribeConfirmation", SignatureVersion=version), own_sns)
    without_subject = own_sns.signed({"Type": "Notification", "Message": "{}", "SignatureVersion": version})
    admit(without_subject, own_sns)


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp", "Type", "Signature"])
def test_a_message_that_was_changed_is_refused(own_sns: OwnSns, field: str) -> None:
    other = own_sns.notification(json.dumps(messages.s3("input/other.png")), Subject="Other", Timestamp=later(1))
    changed = own_sns.notification() | {field: other[field] if field != "Type" else "UnsubscribeConfirmation"}
    with pytest.raises(UnknownSender, match="signature"):
        admit(changed, own_sns)


def test_the_subscription_url_is_part_of_what_is_signed(own_sns: OwnSns) -> None:
    changed = own_sns.confirmation() | {"SubscribeURL": f"{SNS}/?Action=ConfirmSubscription&Token=another"}
    with pytest.raises(UnknownSender, match="signature"):
        admit(changed, own_sns)


def test_a_signature_of_the_other_version_is_refused(own_sns: OwnSns) -> None:
    with pytest.raises(UnknownSender, match="signature"):
        admit(own_sns.notification(SignatureVersion="1") | {"SignatureVersion": "2"}, own_sns)


@pytest.mark.parametrize("signature", ["", "!", "AAAA", base64.b64encode(bytes(256)).decode(), "ü"])
def test_nonsense_for_a_signature_is_refused(own_sns: OwnSns, signature: str) -> None:
    with pytest.raises(UnknownSender, match="signature"):
        admit(own_sns.notification() | {"Signature": signature}, own_sns)


def test_another_key_is_refused(own_sns: OwnSns) -> None:
    with pytest.raises(UnknownSender, match="signature"):
        admit(OwnSns(NOW).notification(), own_sns)


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-central-1.amazonaws.com.example.org/a.pem",
        "https://example.org/sns.eu-central-1.amazonaws.com/a.pem",
        "https://example.org#@sns.eu-central-1.amazonaws.com/a.pem",
        "https://example.org\\@sns.eu-central-1.amazonaws.com/a.pem",
        "https://user@sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com@example.org/a.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/a.pem",
        "http://sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem",
        "https://snsXeu-central-1.amazonaws.com/a.pem",
        "https://evil-sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.s3.amazonaws.com/a.pem",
        "https://bucket.s3.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com/a.txt",
        "https://sns.eu-central-1.amazonaws.com/a.pem?x",
        "https://sns.eu-central-1.amazonaws.com/a.pem\n",
        "https://sns.eu-central-1.amazonaws.com/../a.pem",
        "HTTPS://SNS.EU-CENTRAL-1.AMAZONAWS.COM/a.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(own_sns: OwnSns, url: str) -> None:
    envelope = sns.envelope_of(own_sns.notification(SigningCertURL=url))
    with pytest.raises(UnknownSender, match="certificate"):
        sns.check_claims(envelope, TOPICS, NOW)


def test_chinese_regions_have_a_domain_of_their_own() -> None:
    topic = "arn:aws-cn:sns:cn-north-1:111122223333:pictures"
    message = OwnSns(NOW).notification(TopicArn=topic, SigningCertURL="https://sns.cn-north-1.amazonaws.com.cn/a.pem")
    sns.check_claims(sns.envelope_of(message), frozenset({topic}), NOW)


@pytest.mark.parametrize("topic", [f"{TOPIC}2", TOPIC.replace("1111", "2222"), TOPIC.upper(), f"{TOPIC}\n", "", "*"])
def test_only_allowed_topics_are_taken(own_sns: OwnSns, topic: str) -> None:
    envelope = sns.envelope_of(own_sns.notification(TopicArn=topic))
    with pytest.raises(UnknownSender, match="topic"):
        sns.check_claims(envelope, TOPICS, NOW)
    with pytest.raises(UnknownSender, match="topic"):
        sns.check_claims(sns.envelope_of(own_sns.notification()), frozenset(), NOW)


@pytest.mark.parametrize(("hours", "fresh"), [(0, True), (1.9, True), (2.1, False), (-0.05, True), (-0.5, False)])
def test_a_message_sent_again_long_after_is_refused(own_sns: OwnSns, hours: float, fresh: bool) -> None:
    envelope, now = sns.envelope_of(own_sns.notification()), NOW + timedelta(hours=hours)
    if fresh:
        sns.check_claims(envelope, TOPICS, now)
    else:
        with pytest.raises(UnknownSender, match="older"):
            sns.check_claims(envelope, TOPICS, now)


@pytest.mark.parametrize("days", [(-10, -5), (5, 10)])
def test_a_certificate_that_is_not_valid_now_is_refused(own_sns: OwnSns, days: tuple[int, int]) -> None:
    begin, end = (NOW + timedelta(days=day) for day in days)
    certificate = sns.certificate_from(own_sns.certificate_for(begin, end))
    with pytest.raises(UnknownSender, match="valid"):
        sns.verify(sns.envelope_of(own_sns.notification()), certificate, NOW)


@pytest.mark.parametrize("pem", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_refused(pem: bytes) -> None:
    with pytest.raises(UnknownSender):
        sns.certificate_from(pem)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/?Action=ConfirmSubscription&Token=a",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=a",
        f"{SNS}.example.org/?Action=ConfirmSubscription&Token=a",
        f"{SNS}/?Action=DeleteTopic&Token=a",
        f"{SNS}/other?Action=ConfirmSubscription&Token=a",
        f"{SNS}@169.254.169.254/?Action=ConfirmSubscription&Token=a",
        SNS.replace("https", "http") + "/?Action=ConfirmSubscription&Token=a",
    ],
)
def test_a_subscription_is_confirmed_nowhere_but_at_sns(own_sns: OwnSns, url: str) -> None:
    with pytest.raises(UnknownSender, match="confirmed"):
        sns.confirmation_url(sns.envelope_of(own_sns.confirmation(SubscribeURL=url)))


@pytest.mark.parametrize(
    "change",
    [
        {"Subject": "one\nMessageId\nx"},
        {"MessageId": "one\ntwo"},
        {"Timestamp": "yesterday"},
        {"Timestamp": "2026-03-01T08:30:00.000Z\n"},
        {"Message": 1},
        {"TopicArn": None},
        {"Signature": []},
    ],
)
def test_fields_that_could_be_read_in_two_ways_are_refused(own_sns: OwnSns, change: Message) -> None:
    with pytest.raises(BadEvent):
        sns.envelope_of(own_sns.notification() | change)


def later(seconds: int) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
