"""No name, address or subject that a stranger chooses adds a header to a mail, a recipient, or a line of SMTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from inktally.delivery import Counting, Mail, Problem, StoredObject, Upload
from inktally.document import CountedWord, CountsDocument, Engine, WordCounts
from inktally.errors import BadSettings, RecipientRefused, UnsafeMail
from inktally.mail import message
from inktally.mail.checking import check_written
from inktally.mail.letters import answer_mail, delay_mail, failure_mail
from inktally.mail.links import Signer
from inktally.mail.optin import OptIn, new_ask
from inktally.mail.quotas import Client
from inktally.outputs.word_counts import counts_document
from inktally.settings import Settings
from tests.support import mail_services
from tests.support.mail_services import Service
from tests.support.memory_store import MemoryStore

TO, SENDER = "anna@example.org", "Inktally <inktally@example.org>"
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"}
ALL_HEADERS = sorted(HEADERS | {"MIME-Version", "Content-Type"})
FORGED = "=?utf-8?q?=0aBcc:_eve=40example.net?="

HOSTILE = (
    *(
        FORGED,
        "=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLm5ldA==?=",
        "=?utf-8?q?=0d?=",
        "=?utf-8?q?=00?=",
        "=?us-ascii?q?=0a?=",
    ),
    *("=", "?", "=?", "?=", "=?=?utf-8?q?=0aBcc:x?=", "\r\nBcc: eve@example.net", "\n", "\r", "\0", "\x0b", "\x85"),
    *("\u2028", "\u202e", "\u200d", '"', "\\", "<", ">", ",", ";", ":", "@", "(", " ", "\t", "é", "東京", "\U0001f600"),
    *("a", ".png", "x" * 70, "\ufeff", "%0aBcc:"),
)
pieces = st.sampled_from(HOSTILE)
names = st.lists(pieces, min_size=1, max_size=12).map("".join) | st.text(min_size=1, max_size=150)


@dataclass
class Outbox:
    """A notifier that keeps what it is given."""

    mails: list[Mail] = field(default_factory=list)

    def send(self, mail: Mail) -> None:
        self.mails.append(mail)


def counted(name: str, words: tuple[str, ...]) -> CountsDocument:
    return counts_document(
        source=name,
        picture=StoredObject(key="input/a.png", etag="abc", size=3, modified="2026-11-20T10:00:00Z"),
        engine=Engine(name=name, version=name, languages=(name,)),
        pages=1,
        counts=WordCounts(words=tuple(CountedWord(word=word, count=1, confidence=90) for word in words)),
        counting=Counting(),
    )


def a_confirmation(name: str, to: str, sender: str, language: str) -> Mail:
    outbox = Outbox()
    chosen = Settings(_env_file=None, mail_from=sender)
    ask = new_ask(to)
    OptIn(MemoryStore(), outbox, Signer("s" * 40), chosen).ask(
        ask, Client(name), f"https://example.org/{name}", language
    )
    return outbox.mails[0]


KINDS: dict[str, Callable[[str, str, str], Mail]] = {
    "answer": lambda name, to, sender: answer_mail(to, sender, "<1@x.y>", uploaded(name), counted(name, (name,))),
    "no words": lambda name, to, sender: answer_mail(to, sender, "<1@x.y>", uploaded(name), counted(name, ())),
    "failure": lambda name, to, sender: failure_mail(
        to, sender, "<1@x.y>", uploaded(name), Problem(kind=name, message=name)
    ),
    "delay": lambda name, to, sender: delay_mail(to, sender, "<1@x.y>", uploaded(name)),
    "confirmation": lambda name, to, sender: a_confirmation(name, to, sender, "en"),
    "confirmation in German": lambda name, to, sender: a_confirmation(name, to, sender, "de"),
}


def uploaded(name: str) -> Upload:
    return Upload(key=f"input/{name}"[:1024])


def headers_of(raw: bytes) -> list[tuple[str, str]]:
    """Names and values, as a mail server that knows nothing of Python divides them; a bare CR or LF ends a line too."""
    head = re.split(rb"\r?\n\r?\n|\r\r", raw, maxsplit=1)[0]
    fields = re.split(rb"\r\n(?![ \t])|\r(?![\n \t])|(?<!\r)\n(?![ \t])", head)
    divided = [line.decode().partition(":") for line in fields]
    assert all(re.fullmatch("[A-Za-z-]+", name) for name, _, _ in divided), fields
    return [(name, value.strip()) for name, _, value in divided]


def check(raw: bytes, to: str = TO) -> None:
    found = headers_of(raw)
    assert sorted(name for name, _ in found) == ALL_HEADERS
    by_name = dict(found)
    assert by_name["To"] == to
    assert by_name["From"] == SENDER
    subject = str(make_header(decode_header(by_name["Subject"])))
    again = str(make_header(decode_header(subject)))  # programs that decode twice are known
    for text in (subject, again, str(make_header(decode_header(again)))):
        assert not re.search("[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202e]", re.sub(r"\r?\n[ \t]", " ", text)), subject


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [f"{FORGED}.png", "=?utf-8?b?CkJjYzogZXZlQGV4YW1wbGUubmV0?=.png"])
def test_an_encoded_word_in_a_name_adds_no_header(kind: str, name: str) -> None:
    check(KINDS[kind](name, TO, SENDER).content)


@settings(max_examples=40, deadline=None)
@given(name=names, kind=st.sampled_from(sorted(KINDS)))
def test_no_name_adds_a_header_to_any_kind_of_mail(name: str, kind: str) -> None:
    check(KINDS[kind](name, TO, SENDER).content)


addresses = st.builds("{}@{}".format, names, st.sampled_from(["example.org", FORGED, "x.y\r\nBcc: e@x.y"]) | names)


@settings(max_examples=100, deadline=None)
@given(address=addresses | st.from_regex(r"[a-z=?_]{1,30}@[a-z=?_.]{1,30}", fullmatch=True))
def test_an_address_is_refused_or_stands_alone_in_header_and_envelope(address: str) -> None:
    try:
        mail = KINDS["delay"]("page.png", address, SENDER)
    except RecipientRefused:
        return
    check(mail.content, to=mail.recipient)
    assert re.fullmatch(r"[^\s<>@]+@[\w.-]+", mail.recipient)


@pytest.mark.parametrize("address", [f"{FORGED}@example.org", "=?utf-8?q?=0aBcc=3A?=@example.org", "a=?b@example.org"])
def test_an_encoded_word_is_no_address(address: str) -> None:
    with pytest.raises(RecipientRefused):
        message.valid_address(address)


@pytest.mark.parametrize("sender", [f'"{FORGED}" <a@example.org>', f"{FORGED}@example.org"])
def test_an_encoded_word_is_no_sender(sender: str) -> None:
    with pytest.raises(BadSettings, match="INKTALLY_MAIL_FROM"):
        KINDS["delay"]("page.png", TO, sender)


@pytest.mark.parametrize("address", ["a@b.org\r\nRCPT TO:<eve@example.net>", "a@b.org> <eve@example.net", "a b@c.org"])
def test_no_mail_is_made_for_an_address_that_would_end_smtps_line(address: str) -> None:
    for addresses in ({"sender": "a@b.org", "recipient": address}, {"sender": address, "recipient": "a@b.org"}):
        with pytest.raises(ValidationError):
            Mail(**addresses, message_id="<1@x.y>", content=b"")


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: a\r\nBcc: eve@example.net\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: a\nBcc: eve@example.net\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nno header\r\n\r\nx",
        b"Subject: another\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: =?utf-8?q?a=0a?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: a\r\nSubject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nBcc: e\r\n\r\nx",
    ],
)
def test_a_mail_that_was_written_otherwise_than_meant_is_not_sent(raw: bytes) -> None:
    with pytest.raises(UnsafeMail):
        check_written(raw, {"Subject": "a"}, "")


def test_a_python_that_writes_what_an_encoded_word_hides_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 3.11.7 and 3.12.1 do. Newer versions refuse to write such a mail; then too it is not sent."""
    monkeypatch.setattr(message, "_without_encoded_words", lambda text: text)
    with pytest.raises(Exception, match=r"not sent|[Hh]eader"):
        KINDS["failure"](f"{FORGED}.png", TO, SENDER)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    folder = tmp_path_factory.mktemp("mail")
    with pytest.MonkeyPatch.context() as patch, mail_services.moto() as endpoint, mail_services.mail_server() as smtp:
        mail_services.give_credentials(patch, folder)
        yield {
            "folder": mail_services.folder(folder / "mail"),
            "smtp": smtp,
            "ses": mail_services.ses_of(endpoint),
        }


@pytest.mark.parametrize("notifier", ["folder", "smtp", "ses"])
@settings(max_examples=10, deadline=None)
@given(name=names, kind=st.sampled_from(sorted(KINDS)))
def test_no_notifier_sends_a_header_more(services: dict[str, Service], notifier: str, name: str, kind: str) -> None:
    service = services[notifier]
    service.notifier.send(KINDS[kind](name, TO, SENDER))
    check(service.held()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_mail_folder_has_the_headers_it_was_given(tmp_path: Path, kind: str) -> None:
    mail_services.folder(tmp_path).notifier.send(KINDS[kind](f"{FORGED}.png", TO, SENDER))
    [path] = tmp_path.glob("*.eml")
    check(path.read_bytes())
