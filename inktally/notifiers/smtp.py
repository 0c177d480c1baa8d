"""Mail through an SMTP server."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from smtplib import (
    SMTP,
    SMTP_SSL,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupportedError,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from typing import Literal

from pydantic import SecretStr

from inktally.delivery import Mail
from inktally.errors import AccessDenied, BadSettings, InktallyError, MailRefused, RecipientRefused
from inktally.settings import Settings

FINAL = 500  # from here on, a server's answer is final (RFC 5321, 4.2.1)
CREDENTIALS_WANTED = {530, 534, 535, 538}  # RFC 4954


def build(settings: Settings) -> SmtpNotifier:
    return SmtpNotifier(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        user=settings.smtp_user,
        password=settings.smtp_password,
    )


@dataclass(frozen=True)
class SmtpNotifier:
    """One connection a mail. `timeout` is in seconds and holds for each answer of the server."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    user: str
    password: SecretStr
    timeout: float = 30.0

    def send(self, mail: Mail) -> None:
        """Raises `RecipientRefused`, `MailRefused`, `AccessDenied` or `BadSettings`."""
        try:
            server = self._connected()
            try:
                self._log_in(server)
                _hand_over(server, mail)
            finally:
                _hang_up(server)
        except (SMTPException, OSError) as error:
            raise self._translated(error) from error

    def _connected(self) -> SMTP:
        """Raises what smtplib and sockets raise."""
        if self.security == "tls":
            context = ssl.create_default_context()
            return SMTP_SSL(self.host, self.port, timeout=self.timeout, context=context)
        return SMTP(self.host, self.port, timeout=self.timeout)

    def _log_in(self, server: SMTP) -> None:
        try:
            if self.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.user:
                server.login(self.user, self.password.get_secret_value())
        except SMTPNotSupportedError as error:
            wrong = f"{self._name} does not offer what the settings ask for: {error}"
            raise BadSettings(f"{wrong} Look at INKTALLY_SMTP_SECURITY and INKTALLY_SMTP_USER.") from error
        except UnicodeEncodeError:
            wrong = "INKTALLY_SMTP_USER and INKTALLY_SMTP_PASSWORD must be ASCII to log in with."
            raise BadSettings(wrong) from None  # the cause would tell the password

    def _translated(self, error: Exception) -> InktallyError:
        code, said = _answer(error)
        if code in CREDENTIALS_WANTED or (isinstance(error, SMTPAuthenticationError) and code >= FINAL):
            return AccessDenied(f"{self._name} does not accept INKTALLY_SMTP_USER and its password: {code} {said}")
        if isinstance(error, SMTPSenderRefused) and code >= FINAL:
            return BadSettings(f"{self._name} refuses the sender; look at INKTALLY_MAIL_FROM: {code} {said}")
        if isinstance(error, SMTPNotSupportedError):
            return RecipientRefused(f"{self._name} cannot deliver to addresses with letters beyond ASCII.")
        if isinstance(error, (SMTPRecipientsRefused, SMTPDataError)) and code >= FINAL:
            return RecipientRefused(f"{self._name} will not take this mail: {code} {said}")
        if code:
            return MailRefused(f"{self._name} did not take the mail now: {code} {said}")
        return MailRefused(f"{self._name} could not be spoken to: {error}")

    @property
    def _name(self) -> str:
        return f"The mail server {self.host}:{self.port}"


def _hand_over(server: SMTP, mail: Mail) -> None:
    """Raises what smtplib raises."""
    server.ehlo_or_helo_if_needed()
    if mail.is_international and not server.has_extn("smtputf8"):
        raise SMTPNotSupportedError("SMTPUTF8 is not offered.")
    options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.is_international else []
    server.sendmail(mail.sender, [mail.recipient], mail.content, options)


def _hang_up(server: SMTP) -> None:
    """Politely; an error now must not undo that the mail has been taken."""
    with suppress(SMTPException, OSError):
        server.quit()
    server.close()


def _answer(error: Exception) -> tuple[int, str]:
    """The server's code and words; 0 when it was not the server that spoke."""
    if isinstance(error, SMTPRecipientsRefused):
        code, said = max(error.recipients.values(), key=lambda answer: answer[0])
    elif isinstance(error, SMTPResponseException):
        code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    else:
        return 0, ""
    return code, said.decode(errors="replace")
