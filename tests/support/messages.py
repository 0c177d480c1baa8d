"""Messages as senders of bucket events write them, in the shapes that were recorded; and an SNS of our own."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

BUCKET = "letters"
TOPIC = "arn:aws:sns:eu-central-1:111122223333:pictures"
SNS = "https://sns.eu-central-1.amazonaws.com"
CERTIFICATE_URL = f"{SNS}/SimpleNotification-0123456789abcdef0123456789abcdef.pem"

Message = dict[str, Any]


def s3_record(
    key: str = "input/page.png",
    *,
    sender: str = "aws:s3",
    bucket: str = BUCKET,
    event: str = "ObjectCreated:Put",
    etag: str = "0123456789abcdef0123456789abcdef",
    sequencer: str = "0064A1B2C3D4E5F607",
    **details: Any,
) -> Message:
    """One record; the key is written as it is given."""
    return {
        "eventVersion": "2.1",
        "eventSource": sender,
        "awsRegion": "eu-central-1",
        "eventTime": "2026-03-01T08:30:00.125Z",
        "eventName": event,
        "userIdentity": {"principalId": "AWS:EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {"x-amz-request-id": "1F2E3D4C5B6A7988", "x-amz-id-2": "example"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "pictures",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "EXAMPLE"}, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": 20_480, "eTag": etag, "sequencer": sequencer, **details},
        },
    }


def s3(*keys: str, **details: Any) -> Message:
    """A message of S3 itself."""
    return {"Records": [s3_record(quote_plus(key, safe="/"), **details) for key in keys or ("input/page.png",)]}


def ceph(key: str = "input/page.png", **details: Any) -> Message:
    record = s3_record(
        key, sender="ceph:s3", **{"versionId": "", "size": "20480", "metadata": [], "tags": [], **details}
    )
    return {"Records": [{**record, "eventId": "", "opaqueData": "somebody@example.org"}]}


def minio(
    key: str = "input/page.png", bucket: str = BUCKET, event: str = "s3:ObjectCreated:Put", **details: Any
) -> Message:
    details = {"contentType": "image/png", "userMetadata": {}, "versionId": "1", **details}
    record = s3_record(quote_plus(key), sender="minio:s3", event=event, bucket=bucket, **details)
    return {
        "EventName": event,
        "Key": f"{bucket}/{key}",
        "Records": [{**record, "source": {"host": "192.0.2.7", "port": "", "userAgent": "example"}}],
    }


def eventbridge(key: str = "input/page.png", *, what: str = "Object Created", **details: Any) -> Message:
    entity = {"key": key, "size": 20_480, "etag": "0123456789abcdef0123456789abcdef", "sequencer": "0064A1B2C3D4E5F607"}
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": what,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-03-01T08:30:00Z",
        "region": "eu-central-1",
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {**entity, **details},
            "request-id": "EXAMPLE",
            "requester": "111122223333",
            "source-ip-address": "192.0.2.7",
            "reason": "PutObject",
        },
    }


def sqs(*bodies: Message | str) -> Message:
    """As a function of Lambda gets messages of a queue."""
    return {
        "Records": [
            {
                "messageId": str(uuid4()),
                "receiptHandle": "example",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:pictures",
                "awsRegion": "eu-central-1",
            }
            for body in bodies
        ]
    }


def sns_records(body: Message | str) -> Message:
    """As a function of Lambda gets messages of a topic."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {
        "Records": [{"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": text}}]
    }


def test_event() -> Message:
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-03-01T08:30:00.125Z",
        "Bucket": BUCKET,
        "RequestId": "EXAMPLE",
        "HostId": "example",
    }


test_event.__test__ = False  # type: ignore[attr-defined]  # it is what S3 calls it, and no test


@dataclass
class OwnSns:
    """An SNS with a key and a certificate of its own, and the host that serves them; it notes what it was asked for."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    asked: list[str] = field(default_factory=list)
    broken: bool = False

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def certificate(self) -> bytes:
        return self.certificate_for(self.now - timedelta(days=1), self.now + timedelta(days=30))

    def certificate_for(self, begin: datetime, end: datetime) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        builder = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number(), begin, end)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._serve)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.broken:
            raise httpx.ConnectError("no way", request=request)
        if str(request.url) == CERTIFICATE_URL:
            return httpx.Response(200, content=self.certificate)
        if request.url.host == httpx.URL(SNS).host and request.url.params.get("Action") == "ConfirmSubscription":
            return httpx.Response(200, text="<ConfirmSubscriptionResponse/>")
        return httpx.Response(404)

    def notification(self, body: Message | str | None = None, **changes: str) -> Message:
        text = body if isinstance(body, str) else json.dumps(body or s3())
        return self.signed({"Type": "Notification", "Message": text, "Subject": "Amazon S3 Notification", **changes})

    def confirmation(self, kind: str = "SubscriptionConfirmation", **changes: str) -> Message:
        url = f"{SNS}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=0123abcd"
        return self.signed(
            {"Type": kind, "Message": "You may confirm.", "Token": "0123abcd", "SubscribeURL": url, **changes}
        )

    def signed(self, message: Message) -> Message:
        """The message with all that SNS adds. The text to sign is written here anew, not taken from the program."""
        whole = {
            "MessageId": str(uuid4()),
            "TopicArn": TOPIC,
            "Timestamp": self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "SignatureVersion": "2",
            "SigningCertURL": CERTIFICATE_URL,
            **message,
        }
        names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{whole[name]}\n" for name in names if name in whole)
        algorithm = hashes.SHA1() if whole["SignatureVersion"] == "1" else hashes.SHA256()  # noqa: S303
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return {"Signature": base64.b64encode(signature).decode(), **whole}
