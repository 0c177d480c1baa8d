"""Messages of Amazon SNS: who signed them, and whether that was SNS.

A message names the certificate that proves it, so all that is forged easily is checked first, by exact patterns on
the whole text: the topic, the host of the certificate in the topic's own region, the age. The signature covers
lines of names and values; no value but the message itself may hold a line break, so they can be read in one way only.

Source: Amazon SNS Developer Guide, "Verifying the signatures of Amazon SNS messages", signature versions 1 and 2.
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import ConfigDict, Field, ValidationError

from inktally.document import Value
from inktally.errors import BadEvent, UnknownSender

TYPES = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")
OLDEST = timedelta(hours=2)  # SNS itself gives a delivery up after one hour
CLOCKS_DIFFER = timedelta(minutes=5)
HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - as SNS signs

REGION = r"(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]+)"
TOPIC = re.compile(rf"arn:aws(?:-[a-z]+)*:sns:{REGION}:[0-9]{{12}}:[A-Za-z0-9_.-]{{1,256}}")
CERTIFICATE = re.compile(rf"https://sns\.{REGION}\.amazonaws\.com(?:\.cn)?/[A-Za-z0-9_-]{{1,200}}\.pem")
CONFIRMATION = re.compile(
    rf"https://sns\.{REGION}\.amazonaws\.com(?:\.cn)?/\?Action=ConfirmSubscription&[A-Za-z0-9_.~%&=:-]+"
)
LINE = r"^[^\r\n]*$"


class Envelope(Value):
    """A message as SNS posts it. Nothing in it is proved before `verify`."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"] = Field(alias="Type")
    message_id: str = Field(alias="MessageId", pattern=r"^[0-9a-f-]{36}$")
    topic: str = Field(alias="TopicArn", max_length=400)
    message: str = Field(alias="Message")
    subject: str | None = Field(None, alias="Subject", pattern=LINE)
    timestamp: str = Field(alias="Timestamp", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
    token: str | None = Field(None, alias="Token", pattern=LINE)
    subscribe_url: str | None = Field(None, alias="SubscribeURL", pattern=LINE)
    signature_version: str = Field(alias="SignatureVersion", max_length=10)
    signature: str = Field(alias="Signature", max_length=4096)
    certificate_url: str = Field(alias="SigningCertURL", max_length=400)

    @property
    def signed_text(self) -> str:
        """Names and values in the order that SNS has signed them in."""
        head = [("Message", self.message), ("MessageId", self.message_id)]
        tail = [("Timestamp", self.timestamp), ("TopicArn", self.topic), ("Type", self.type)]
        if self.type == "Notification":
            middle = [("Subject", self.subject)]
        else:
            middle = [("SubscribeURL", self.subscribe_url)]
            tail[1:1] = [("Token", self.token or "")]
        return "".join(f"{name}\n{value}\n" for name, value in [*head, *middle, *tail] if value is not None)


def looks_like_sns(message: Any) -> bool:
    return isinstance(message, dict) and message.get("Type") in TYPES and "TopicArn" in message


def envelope_of(message: Any) -> Envelope:
    """Raises `BadEvent` when it is not what SNS posts."""
    try:
        return Envelope.model_validate(message)
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors() if fault["loc"])
        raise BadEvent(f"The message is not as SNS writes them: {fields}") from error


def check_claims(envelope: Envelope, topics: frozenset[str], now: datetime) -> None:
    """All that can be checked without the certificate. Raises `UnknownSender`."""
    topic = TOPIC.fullmatch(envelope.topic)
    if topic is None or envelope.topic not in topics:
        raise UnknownSender("The topic is not among INKTALLY_SNS_TOPICS.")
    certificate = CERTIFICATE.fullmatch(envelope.certificate_url)
    if certificate is None or certificate["region"] != topic["region"]:
        raise UnknownSender("The certificate does not lie at SNS in the topic's region.")
    if envelope.signature_version not in HASHES:
        raise UnknownSender("The version of the signature is neither 1 nor 2.")
    if not -CLOCKS_DIFFER < now - _time_of(envelope) < OLDEST:
        raise UnknownSender("The message is older than SNS delivers them, or from the future.")


def confirmation_url(envelope: Envelope) -> str:
    """Where a subscription is confirmed. Raises `UnknownSender` when that is not at SNS in the topic's region."""
    found, topic = CONFIRMATION.fullmatch(envelope.subscribe_url or ""), TOPIC.fullmatch(envelope.topic)
    if found is None or topic is None or found["region"] != topic["region"]:
        raise UnknownSender("The subscription is not to be confirmed at SNS in the topic's region.")
    return found[0]


def certificate_from(pem: bytes) -> x509.Certificate:
    """Raises `UnknownSender`."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key_is_rsa = isinstance(certificate.public_key(), RSAPublicKey)
    except Exception as error:
        raise UnknownSender("What lies where the certificate should be is none.") from error
    if not key_is_rsa:
        raise UnknownSender("The certificate's key is no RSA key.")
    return certificate


def verify(envelope: Envelope, certificate: x509.Certificate, now: datetime) -> None:
    """Raises `UnknownSender` unless the certificate's key has signed the message, and is valid now."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise UnknownSender("The certificate is not valid now.")
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    try:
        signature = base64.b64decode(envelope.signature, validate=True)
        text = envelope.signed_text.encode()
        key.verify(signature, text, PKCS1v15(), HASHES[envelope.signature_version])
    except (InvalidSignature, ValueError) as error:
        raise UnknownSender("The signature is not that of the message.") from error


def _time_of(envelope: Envelope) -> datetime:
    try:
        return datetime.fromisoformat(envelope.timestamp).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnknownSender("The message bears no time.") from error
