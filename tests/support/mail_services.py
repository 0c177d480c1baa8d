"""The services that take mail, each a real one, with what it holds: a folder, an SMTP server, SES as moto serves it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends

from inktally import plugins
from inktally.ports import Notifier
from inktally.settings import read_settings

REGION = "eu-central-1"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Postbox:
    """What an SMTP server does with mail: takes it, or answers RCPT and DATA with these lines."""

    rcpt: str = ""
    mail_from: str = ""
    data: str = ""
    quit: str = ""
    taken: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self.mail_from:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.mail_from or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if not self.rcpt:
            envelope.rcpt_tos.append(address)
        return self.rcpt or "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data:
            return self.data
        assert isinstance(envelope.content, bytes)
        self.taken.append(envelope.content)
        self.recipients.extend(envelope.rcpt_tos)
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return self.quit or "221 Bye"


@contextmanager
def smtp_server(postbox: Postbox, **options: Any) -> Iterator[int]:
    """A listening SMTP server on 127.0.0.1; yields its port."""
    controller = Controller(postbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@dataclass(frozen=True)
class Service:
    """A notifier, and what its service holds of the mails."""

    notifier: Notifier
    held: Callable[[], list[bytes]]


def smtp(port: int, **settings: Any) -> Notifier:
    return plugins.notifier(read_settings(notifier="smtp", smtp_host="127.0.0.1", smtp_port=port, **settings))


def ses(endpoint: str, **settings: Any) -> Notifier:
    return plugins.notifier(read_settings(notifier="ses", ses_endpoint=endpoint, **({"ses_region": REGION} | settings)))


def folder(path: Path) -> Service:
    notifier = plugins.notifier(read_settings(notifier="folder", mail_folder=str(path)))
    return Service(notifier, lambda: [each.read_bytes() for each in path.iterdir()])


@contextmanager
def mail_server() -> Iterator[Service]:
    postbox = Postbox()
    with smtp_server(postbox) as port:
        yield Service(smtp(port), lambda: postbox.taken)


def ses_of(endpoint: str) -> Service:
    """SES with one identity, inktally@example.org, and no mails yet."""
    client = boto3.client("sesv2", region_name=REGION, endpoint_url=endpoint)
    client.create_email_identity(EmailIdentity="inktally@example.org")
    sent = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
    sent.clear()
    return Service(ses(endpoint), lambda: [message.raw_data.encode() for message in sent])


@contextmanager
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def give_credentials(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Those of a machine that has none but these."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
