"""Mail through Amazon SES.

SES writes a Message-ID and a date of its own over ours; a mail that is sent again bears another one there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from inktally import aws
from inktally.delivery import Mail
from inktally.errors import AccessDenied, InktallyError, MailRefused, NotFound, Overwritten, RecipientRefused
from inktally.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sesv2 import SESV2Client

FINAL = {"MessageRejected", "BadRequestException", "InvalidParameterValue"}
DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AccountSuspendedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MailFromDomainNotVerifiedException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


def build(settings: Settings) -> SesNotifier:
    return SesNotifier(region=settings.ses_region, endpoint=settings.ses_endpoint)


@dataclass(frozen=True)
class SesNotifier:
    """`region` and `endpoint` may be empty: then they are as boto3 finds them. `timeout` is in seconds."""

    region: str = ""
    endpoint: str = ""
    timeout: float = 30.0

    def send(self, mail: Mail) -> None:
        """Raises `RecipientRefused`, `MailRefused`, `AccessDenied` or `BadSettings`."""
        with _errors():
            self._client().send_email(
                Destination={"ToAddresses": [mail.recipient]}, Content={"Raw": {"Data": mail.content}}
            )

    def is_verified(self, address: str) -> bool:
        """Whether the person has followed the link that SES mailed: in its sandbox it mails nobody else."""
        try:
            with _errors():
                return self._client().get_email_identity(EmailIdentity=address)["VerifiedForSendingStatus"]
        except NotFound:
            return False

    def begin_verification(self, address: str) -> None:
        """Have SES mail its own link; again, if it has before: that link works for a day only."""
        client = self._client()
        with suppress(NotFound), _errors():
            client.delete_email_identity(EmailIdentity=address)
        with suppress(Overwritten), _errors():  # by another of us, just now
            client.create_email_identity(EmailIdentity=address)

    def _client(self) -> SESV2Client:
        """One attempt: whoever calls tries again, and knows what has been sent."""
        return cast("SESV2Client", aws.client("sesv2", self.region, self.endpoint, seconds=self.timeout, attempts=1))


def _errors() -> AbstractContextManager[None]:
    return aws.errors("SES", "send mail", _refused, MailRefused)


def _refused(code: str, said: str) -> InktallyError:
    if code == "NotFoundException":
        return NotFound(f"SES does not know this address: {said or code}")
    if code == "AlreadyExistsException":
        return Overwritten(f"SES knows this address already: {said or code}")
    if code in FINAL:
        return RecipientRefused(f"SES will not take this mail: {said or code}")
    if code in DENIED:
        return AccessDenied(f"SES does not accept us as a sender of mail: {said or code}")
    return MailRefused(f"SES did not take the mail now: {code} {said}".rstrip())
