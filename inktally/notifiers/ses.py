"""Mail through Amazon SES.

SES writes a Message-ID and a date of its own over ours; a mail that is sent again bears another one there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING

from inktally.errors import (
    AccessDenied,
    BadSettings,
    InktallyError,
    MailRefused,
    NotFound,
    Overwritten,
    RecipientRefused,
)
from inktally.settings import Settings

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
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

    def send(self, mail: EmailMessage) -> None:
        """Raises `RecipientRefused`, `MailRefused`, `AccessDenied` or `BadSettings`."""
        recipients = [address.addr_spec for address in mail["To"].addresses]
        with _errors():
            self._client().send_email(
                Destination={"ToAddresses": recipients}, Content={"Raw": {"Data": mail.as_bytes()}}
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
        import boto3
        from botocore.config import Config

        # One attempt: whoever calls tries again, and knows what has been sent.
        config = Config(
            connect_timeout=self.timeout,
            read_timeout=self.timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        session = boto3.session.Session()
        return session.client(
            "sesv2", region_name=self.region or None, endpoint_url=self.endpoint or None, config=config
        )


@contextmanager
def _errors() -> Iterator[None]:
    """The vendor's errors as ours."""
    from botocore.exceptions import (  # only who uses SES pays for boto3
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
    )

    try:
        yield
    except ClientError as error:
        raise _translated(error) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccessDenied(f"There are no AWS credentials to send mail with: {error}.") from error
    except NoRegionError as error:
        raise BadSettings("SES needs a region; set INKTALLY_SES_REGION.") from error
    except BotoCoreError as error:
        raise MailRefused(f"SES could not be spoken to: {error}") from error


def _translated(error: ClientError) -> InktallyError:
    code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "NotFoundException":
        return NotFound(f"SES does not know this address: {said or code}")
    if code == "AlreadyExistsException":
        return Overwritten(f"SES knows this address already: {said or code}")
    if code in FINAL:
        return RecipientRefused(f"SES will not take this mail: {said or code}")
    if code in DENIED:
        return AccessDenied(f"SES does not accept us as a sender of mail: {said or code}")
    return MailRefused(f"SES did not take the mail now: {code} {said}".rstrip())
