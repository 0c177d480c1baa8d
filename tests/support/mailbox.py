"""An SMTP server that tells what it got, from which process, and that may be in trouble."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Literal

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.proxy import RESET_ON_CLOSE


def parsed(content: bytes) -> EmailMessage:
    """A mail as its reader's program parses it."""
    return message_from_bytes(content, _class=EmailMessage, policy=policy.default)


@dataclass(frozen=True)
class Mail:
    """A mail that the server has accepted, and when (time.monotonic)."""

    to: str
    message_id: str
    moment: float
    port: int
    """Of the connection that it came by, on its sender's side."""
    text: str = ""
    """What it says, without HTML."""

    @property
    def is_answer(self) -> bool:
        """Not one that says that the answer takes longer."""
        return ".delayed@" not in self.message_id


Trouble = Literal["", "451", "554", "reset"]


@dataclass
class Mailbox:
    """An SMTP server's mails. `on_mail` runs before it says yes.

    Its `trouble`: it asks to come again later, has no service at all, or breaks the connection when it has got a mail.
    """

    mails: list[Mail] = field(default_factory=list)
    trouble: Trouble = ""
    refused: int = 0
    on_mail: Callable[[Mail], None] = lambda _mail: None

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, host: str, responses: list[str]
    ) -> list[str]:
        if self.trouble == "554":
            self.refused += 1
            return ["554 No service"]
        session.host_name = host
        return responses

    async def handle_HELO(self, _server: SMTP, _session: Session, _envelope: Envelope, _host: str) -> str:  # noqa: N802
        return "554 No service"  # asked by those only whom EHLO was refused

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.trouble:
            self.refused += 1
            if self.trouble == "reset":
                _reset(server)
            return "451 Come again later"
        assert isinstance(envelope.content, bytes)
        moment, received = time.monotonic(), parsed(envelope.content)
        body = received.get_body(("plain",))
        text = body.get_content() if body else ""
        mail = Mail(envelope.rcpt_tos[0], received["Message-ID"], moment, session.peer[1], text)
        self.mails.append(mail)
        await asyncio.to_thread(self.on_mail, mail)
        return "250 OK"

    def moments(self) -> dict[str, float]:
        """When each address got its first answer."""
        return {mail.to: mail.moment for mail in reversed(list(self.mails)) if mail.is_answer}


def _reset(server: SMTP) -> None:
    """Break the connection as a server does that dies."""
    assert server.transport is not None
    connection = server.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    server.transport.abort()
