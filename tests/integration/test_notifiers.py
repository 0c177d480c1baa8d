"""Every notifier against a real service: a folder, SMTP servers in this process, SES as moto serves it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from inktally import plugins
from inktally.delivery import Mail, Problem, Upload
from inktally.errors import AccessDenied, BadSettings, InktallyError, MailRefused, RecipientRefused
from inktally.mail.letters import failure_mail
from inktally.notifiers.smtp import SmtpNotifier
from inktally.ports import Verifier
from inktally.settings import read_settings
from tests.support import mail_services
from tests.support.mail_services import REGION, Postbox, Service, free_port, ses, smtp, smtp_server
from tests.support.mailbox import parsed


def a_mail(
    to: str = "anna@example.org",
    name: str = "Ténerife 1.png",
    sender: str = "inktally@example.org",
    message_id: str = "<1.mailed@example.org>",
) -> Mail:
    problem = Problem(kind="TooLarge", message="The page is too large ² 2.")
    return failure_mail(to, f"Inktally <{sender}>", message_id, Upload(key=f"input/{name}"), problem)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mail_services.give_credentials(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    with mail_services.moto() as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "smtp", "ses"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    if request.param == "folder":
        yield mail_services.folder(tmp_path / "mail")
    elif request.param == "smtp":
        with mail_services.mail_server() as found:
            yield found
    else:
        request.getfixturevalue("aws")
        yield mail_services.ses_of(request.getfixturevalue("moto_endpoint"))


class TestEveryNotifier:
    def test_a_mail_arrives_as_it_was_written(self, service: Service) -> None:
        sent = a_mail()
        service.notifier.send(sent)
        mail = parsed(sent.content)
        [raw] = service.held()
        arrived = parsed(raw)
        for name in ("From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted"):
            assert arrived[name] == mail[name], name
        body, written = arrived.get_body(("html",)), mail.get_body(("html",))
        assert body is not None
        assert written is not None
        assert body.get_content().splitlines() == written.get_content().splitlines()

    def test_two_mails_are_two(self, service: Service) -> None:
        service.notifier.send(a_mail())
        service.notifier.send(a_mail(message_id="<2.mailed@example.org>"))
        assert {parsed(raw)["Message-ID"] for raw in service.held()} == {
            "<1.mailed@example.org>",
            "<2.mailed@example.org>",
        }

    def test_only_ascii_travels_so_that_every_server_can_carry_it(self, service: Service) -> None:
        service.notifier.send(a_mail(to="Änne <anna@bücher.example>", name="naïve 東京.png"))
        [raw] = service.held()
        assert raw.isascii()
        assert "anna@xn--bcher-kva.example" in parsed(raw)["To"]


class TestFolder:
    def test_the_same_mail_twice_is_one_file_and_nothing_is_left_beside_it(self, tmp_path: Path) -> None:
        notifier = plugins.notifier(read_settings(notifier="folder", mail_folder=str(tmp_path)))
        notifier.send(a_mail())
        notifier.send(a_mail())
        [path] = tmp_path.iterdir()
        assert path.suffix == ".eml"

    def test_a_mail_to_an_international_address_keeps_its_letters(self, tmp_path: Path) -> None:
        plugins.notifier(read_settings(notifier="folder", mail_folder=str(tmp_path))).send(a_mail("jürgen@example.org"))
        [path] = tmp_path.iterdir()
        assert parsed(path.read_bytes())["To"] == "jürgen@example.org"

    def test_a_file_in_the_folders_place_is_a_wrong_setting(self, tmp_path: Path) -> None:
        (tmp_path / "mail").touch()
        for folder in (tmp_path / "mail", tmp_path / "mail" / "below"):
            with pytest.raises(BadSettings, match="INKTALLY_MAIL_FOLDER"):
                plugins.notifier(read_settings(notifier="folder", mail_folder=str(folder))).send(a_mail())

    def test_a_folder_that_cannot_take_the_mail_now_is_tried_again(self) -> None:
        with pytest.raises(MailRefused, match="/proc/mail"):
            plugins.notifier(read_settings(notifier="folder", mail_folder="/proc/mail")).send(a_mail())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-made certificate for 127.0.0.1 with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    certificate, key = path.with_name("certificate.pem"), path.with_name("key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    path.write_text(key.read_text() + certificate.read_text())
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def only_anna(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data == LoginPassword(b"anna", b"right"), handled=False)


def auth_down(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, _data: Any) -> AuthResult:
    return AuthResult(success=False, handled=False, message="454 4.7.0 Temporary authentication failure")


class TestSmtp:
    @pytest.mark.parametrize(
        ("answers", "error"),
        [
            ({"rcpt": "550 5.1.1 No such user"}, RecipientRefused),
            ({"rcpt": "451 4.7.1 Greylisted, come again"}, MailRefused),
            ({"rcpt": "530 5.7.0 Authentication required"}, AccessDenied),
            ({"data": "554 5.7.1 Looks like spam"}, RecipientRefused),
            ({"data": "452 4.3.1 Disk full"}, MailRefused),
            ({"mail_from": "550 5.7.1 Sender not allowed"}, BadSettings),
            ({"mail_from": "421 4.3.2 Shutting down"}, MailRefused),
        ],
    )
    def test_a_refusal_becomes_the_error_it_means_and_quotes_the_server(
        self, answers: dict[str, Any], error: type[InktallyError]
    ) -> None:
        [said] = answers.values()
        with smtp_server(Postbox(**answers)) as port, pytest.raises(error, match=said[4:]) as caught:
            smtp(port).send(a_mail())
        assert type(caught.value) is error
        assert f"127.0.0.1:{port}" in str(caught.value)

    def test_an_error_after_the_mail_was_taken_does_not_send_it_again(self) -> None:
        postbox = Postbox(quit="421 Too late to say so")
        with smtp_server(postbox) as port:
            smtp(port).send(a_mail())
        assert len(postbox.taken) == 1

    def test_a_server_that_is_not_there_is_tried_again(self) -> None:
        with pytest.raises(MailRefused):
            smtp(free_port()).send(a_mail())

    def test_a_host_without_an_address_is_tried_again(self) -> None:
        notifier = plugins.notifier(read_settings(notifier="smtp", smtp_host="no-such-host.invalid"))
        with pytest.raises(MailRefused, match=r"no-such-host\.invalid"):
            notifier.send(a_mail())

    def test_a_server_that_says_nothing_is_given_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            notifier = SmtpNotifier("127.0.0.1", silent.getsockname()[1], "none", "", SecretStr(""), timeout=0.2)
            with pytest.raises(MailRefused, match="timed out"):
                notifier.send(a_mail())

    @pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
    def test_a_right_password_is_taken_and_a_wrong_one_denied_without_being_told(self) -> None:
        postbox = Postbox()
        options = {"auth_required": True, "auth_require_tls": False, "authenticator": only_anna}
        with smtp_server(postbox, **options) as port:
            smtp(port, smtp_user="anna", smtp_password="right").send(a_mail())
            assert len(postbox.taken) == 1
            with pytest.raises(AccessDenied, match="INKTALLY_SMTP_USER") as caught:
                smtp(port, smtp_user="anna", smtp_password="s3cret").send(a_mail())
            assert "s3cret" not in str(caught.value)
            with pytest.raises(AccessDenied):
                smtp(port).send(a_mail())

    @pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
    def test_a_log_in_that_is_out_of_order_is_tried_again(self) -> None:
        options = {"auth_required": True, "auth_require_tls": False, "authenticator": auth_down}
        with smtp_server(Postbox(), **options) as port, pytest.raises(MailRefused, match="Temporary"):
            smtp(port, smtp_user="anna", smtp_password="right").send(a_mail())

    def test_a_password_that_smtp_cannot_carry_is_a_wrong_setting_and_stays_secret(self) -> None:
        options = {"auth_require_tls": False, "authenticator": only_anna}
        with smtp_server(Postbox(), **options) as port, pytest.raises(BadSettings, match="ASCII") as caught:
            smtp(port, smtp_user="anna", smtp_password="gehüim").send(a_mail())
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize("settings", [{"smtp_security": "starttls"}, {"smtp_user": "anna"}])
    def test_asking_for_what_the_server_does_not_offer_is_a_wrong_setting(self, settings: dict[str, str]) -> None:
        with smtp_server(Postbox()) as port, pytest.raises(BadSettings, match="INKTALLY_SMTP_SECURITY"):
            smtp(port, **settings).send(a_mail())

    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_mail_goes_encrypted_only_to_a_server_whose_certificate_is_trusted(
        self, security: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        postbox = Postbox()
        context = server_context(certificate)
        options = {"ssl_context": context} if security == "tls" else {"tls_context": context, "require_starttls": True}
        with smtp_server(postbox, **options) as port:
            with pytest.raises(MailRefused, match="CERTIFICATE_VERIFY_FAILED"):
                smtp(port, smtp_security=security).send(a_mail())
            assert not postbox.taken
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            smtp(port, smtp_security=security).send(a_mail())
        assert len(postbox.taken) == 1

    def test_an_international_address_goes_where_it_is_understood(self) -> None:
        postbox = Postbox()
        with smtp_server(postbox, enable_SMTPUTF8=True) as port:
            smtp(port).send(a_mail("jürgen@example.org"))
        assert postbox.recipients == ["jürgen@example.org"]
        assert parsed(postbox.taken[0])["To"] == "jürgen@example.org"

    def test_an_international_address_is_refused_where_it_is_not(self) -> None:
        with smtp_server(Postbox(), enable_SMTPUTF8=False) as port, pytest.raises(RecipientRefused, match="ASCII"):
            smtp(port).send(a_mail("jürgen@example.org"))


@contextmanager
def answering(status: int, kind: str) -> Iterator[str]:
    """A server that answers every request as AWS does when it refuses; yields its endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"message": "Because."}).encode()
            self.send_response(status)
            self.send_header("x-amzn-ErrorType", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.usefixtures("aws")
class TestSes:
    def test_a_sender_that_is_not_verified_is_refused(self, moto_endpoint: str) -> None:
        with pytest.raises(RecipientRefused, match="stranger"):
            ses(moto_endpoint).send(a_mail(sender="stranger@example.net"))

    @pytest.mark.parametrize(
        ("status", "kind", "error"),
        [
            (400, "MessageRejected", RecipientRefused),
            (400, "BadRequestException", RecipientRefused),
            (429, "TooManyRequestsException", MailRefused),
            (400, "ThrottlingException", MailRefused),
            (500, "InternalFailure", MailRefused),
            (403, "AccessDeniedException", AccessDenied),
            (403, "UnrecognizedClientException", AccessDenied),
            (403, "InvalidSignatureException", AccessDenied),
        ],
    )
    def test_a_refusal_becomes_the_error_it_means(self, status: int, kind: str, error: type[InktallyError]) -> None:
        with answering(status, kind) as endpoint, pytest.raises(error, match="Because") as caught:
            ses(endpoint).send(a_mail())
        assert type(caught.value) is error

    def test_no_credentials_are_access_denied(self, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(AccessDenied, match="credentials"):
            ses(moto_endpoint).send(a_mail())

    def test_no_region_is_a_wrong_setting(self) -> None:
        with pytest.raises(BadSettings, match="INKTALLY_SES_REGION"):
            ses("", ses_region="").send(a_mail())

    def test_a_service_that_is_not_there_is_tried_again(self) -> None:
        with pytest.raises(MailRefused):
            ses(f"http://127.0.0.1:{free_port()}").send(a_mail())


class TestSesInItsSandbox:
    def test_it_writes_to_people_itself_and_tells_whether_they_have_answered(
        self, request: pytest.FixtureRequest, moto_endpoint: str
    ) -> None:
        request.getfixturevalue("aws")
        notifier = ses(moto_endpoint)
        assert isinstance(notifier, Verifier)
        assert not notifier.is_verified("carla@example.org")
        notifier.begin_verification("carla@example.org")
        notifier.begin_verification("carla@example.org")  # twice is no error
        client = boto3.client("sesv2", region_name=REGION, endpoint_url=moto_endpoint)
        told = client.get_email_identity(EmailIdentity="carla@example.org")["VerifiedForSendingStatus"]
        assert notifier.is_verified("carla@example.org") is told

    def test_a_notifier_that_mails_anybody_is_none(self, tmp_path: Path) -> None:
        assert not isinstance(plugins.notifier(read_settings(mail_folder=str(tmp_path))), Verifier)
