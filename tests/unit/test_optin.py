"""Nobody is mailed who has not asked for it, and nobody is asked more than once a day."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest

from inktally import keys
from inktally.delivery import Mail, Outcome, Problem
from inktally.errors import MailRefused, NotFound, QuotaUsedUp, RecipientRefused
from inktally.intake import late_mails
from inktally.intake.status import delivery_of
from inktally.intake.web import receive
from inktally.mail.links import Signer
from inktally.mail.optin import DAY_SECONDS, OptIn, mailbox, new_ask
from inktally.mail.quotas import Client, Quotas
from inktally.settings import Settings
from inktally.steps.markers import mark_answered
from inktally.stores.files import FilesStore
from tests.support.mailbox import parsed
from tests.support.memory_store import MemoryStore

SITE = "https://pictures.example.org"
CLIENT = Client("client")
PNG = b"\x89PNG\r\n\x1a\n and more"


@dataclass
class Outbox:
    """A notifier that keeps what it is given; `trouble` is raised instead."""

    mails: list[EmailMessage] = field(default_factory=list)
    trouble: Exception | None = None

    def send(self, mail: Mail) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.mails.append(parsed(mail.content))


@dataclass
class Sandbox(Outbox):
    """A mail service that has to hear from people first."""

    verified: set[str] = field(default_factory=set)
    written_to: list[str] = field(default_factory=list)

    def is_verified(self, address: str) -> bool:
        return address in self.verified

    def begin_verification(self, address: str) -> None:
        self.written_to.append(address)

    def send(self, mail: Mail) -> None:
        if mail.recipient not in self.verified:
            raise RecipientRefused("Email address is not verified.")
        super().send(mail)


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, store: FilesStore) -> None:
        self.calls: Counter[str] = Counter()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._store, name)


def opt_in(store: MemoryStore, outbox: Outbox, **settings: object) -> OptIn:
    return OptIn(store, outbox, Signer("s" * 40), Settings(_env_file=None, **settings))


def token_in(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(rf"{SITE}/confirm/(\S+)", body.get_content())
    assert found is not None
    return found[1]


def test_an_address_is_confirmed_by_the_link_that_was_mailed_to_it() -> None:
    store, outbox = MemoryStore(), Outbox()
    people, ask = opt_in(store, outbox), new_ask("Anna <anna@example.org>")
    assert people.ask(ask, CLIENT, SITE) == "mailed"
    assert not people.is_confirmed(ask)
    opened = people.open(token_in(outbox.mails[0]))
    people.confirm(opened)
    assert people.is_confirmed(ask)
    assert not people.is_confirmed(new_ask("anna@example.org")), "another browser has shown nothing"
    assert not any("anna" in found.key for found in store.list(""))


def test_a_stranger_is_mailed_once_a_day_whatever_is_typed() -> None:
    store, outbox = MemoryStore(), Outbox()
    people = opt_in(store, outbox)
    spellings = ["anna@example.org", "ANNA@Example.org", "anna+1@example.org", "anna+2@example.org"]
    told = [people.ask(new_ask(each), Client(f"client {each}"), SITE) for each in spellings]
    assert told == ["mailed", "mailed before", "mailed before", "mailed before"]
    assert len(outbox.mails) == 1
    store.now += DAY_SECONDS + 1
    assert people.ask(new_ask("anna@example.org"), CLIENT, SITE) == "mailed"


def test_many_at_once_mail_a_stranger_once() -> None:
    outbox = Outbox()
    people = opt_in(MemoryStore(), outbox, site_mails_per_client=100)
    with ThreadPool(8) as pool:
        pool.map(lambda _: people.ask(new_ask("anna@example.org"), CLIENT, SITE), range(16))
    assert len(outbox.mails) == 1


def test_a_mail_that_could_not_be_sent_may_be_sent_again_and_no_log_tells_an_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, outbox = MemoryStore(), Outbox(trouble=MailRefused("No room for anna@example.org."))
    people, ask = opt_in(store, outbox), new_ask("anna@example.org")
    assert people.ask(ask, CLIENT, SITE) == "kept"
    assert "No room for the recipient" in caplog.text
    assert "anna" not in caplog.text
    outbox.trouble = None
    assert people.ask(ask, CLIENT, SITE) == "mailed"


def test_one_client_can_cause_a_few_mails_a_day_only() -> None:
    people = opt_in(MemoryStore(), Outbox(), site_mails_per_client=2)
    for name in ("a", "b"):
        people.ask(new_ask(f"{name}@example.org"), CLIENT, SITE)
    with pytest.raises(QuotaUsedUp):
        people.ask(new_ask("c@example.org"), CLIENT, SITE)
    people.ask(new_ask("c@example.org"), Client("another client"), SITE)


def test_where_the_mail_service_has_to_hear_from_people_first_our_link_comes_after_its_own() -> None:
    sandbox = Sandbox()
    people, ask, other = opt_in(MemoryStore(), sandbox), new_ask("anna@example.org"), new_ask("Anna@example.org")
    assert people.ask(ask, CLIENT, SITE) == "verifying"
    assert people.ask(other, Client("another client"), SITE) == "verifying"
    assert sandbox.written_to == ["anna@example.org"]
    assert people.is_verifying(ask)
    assert people.is_verifying(other)
    assert people.mail_waiting() == 2
    sandbox.verified |= {"anna@example.org", "Anna@example.org"}
    assert not people.is_confirmed(ask), "whoever followed the service's link has shown no browser to be theirs"
    assert people.mail_waiting() == 0
    assert not people.is_verifying(ask)
    (mail,) = sandbox.mails
    opened = people.open(token_in(mail))
    people.confirm(opened)
    assert [people.is_confirmed(each) for each in (ask, other)].count(True) == 1
    assert people.mail_waiting() == 0
    assert len(sandbox.mails) == 1


def test_the_mail_service_writes_again_to_those_who_did_not_follow_its_link_in_a_day() -> None:
    store, sandbox = MemoryStore(), Sandbox()
    people, ask = opt_in(store, sandbox), new_ask("anna@example.org")
    people.ask(ask, CLIENT, SITE)
    assert people.ask(ask, CLIENT, SITE) == "verifying"
    store.now += DAY_SECONDS + 1
    assert people.ask(ask, CLIENT, SITE) == "verifying"
    assert len(sandbox.written_to) == 2


def test_a_link_waits_for_the_mail_service_and_is_then_mailed_once() -> None:
    outbox = Outbox(trouble=MailRefused("No room for anna@example.org."))
    people, ask = opt_in(MemoryStore(), outbox), new_ask("anna@example.org")
    for number in range(2):
        people.hold(["x" * 21 + str(number)], ask, CLIENT, SITE, "de")
    assert people.mail_waiting() == 1
    outbox.trouble = None
    assert people.mail_waiting() == 0
    assert people.mail_waiting() == 0
    (mail,) = outbox.mails
    assert people.open(token_in(mail)) == ask
    assert "Bestätigen" in mail["Subject"]


def test_whoever_has_used_up_what_may_be_caused_cannot_find_out_who_is_known() -> None:
    people = opt_in(MemoryStore(), Outbox(), site_mails_per_client=2)
    people.ask(new_ask("known@example.org"), Client("somebody"), SITE)
    asks = [new_ask(f"{name}@example.org") for name in ("known", "a")]
    for ask in [*asks, *asks]:
        people.ask(ask, CLIENT, SITE)  # a browser's own address counts once
    for name in ("known", "unknown"):
        with pytest.raises(QuotaUsedUp):
            people.ask(new_ask(f"{name}@example.org"), CLIENT, SITE)


def test_who_has_confirmed_one_address_has_confirmed_no_other_that_looks_alike() -> None:
    store = MemoryStore()
    people, own = opt_in(store, Outbox()), new_ask("anna@straße.example")
    people.confirm(own)
    for other in ("anna@strasse.example", "annaſ@straße.example", "anna+1@straße.example"):
        assert not people.is_confirmed(own.model_copy(update={"address": new_ask(other).address}))
    assert people.is_confirmed(own.model_copy(update={"address": new_ask("Anna@STRAßE.example").address}))


@pytest.mark.parametrize("text", ["root@localhost", "anna@127.0.0.1", "anna@localhost.localdomain", "anna@host", "x"])
def test_nobody_on_this_machine_is_mailed_because_a_stranger_asks(text: str) -> None:
    with pytest.raises(RecipientRefused):
        new_ask(text)


def test_what_is_one_mailbox() -> None:
    assert mailbox("A.n.na+x@GoogleMail.com") == mailbox("anna@gmail.com")
    assert mailbox("a.b@example.org") != mailbox("ab@example.org")


def test_a_picture_that_came_before_the_confirmation_is_mailed_after_it(tmp_path: Path) -> None:
    store, outbox, settings = FilesStore(tmp_path), Outbox(), Settings(_env_file=None)
    people, ask = OptIn(store, outbox, Signer("s" * 40), settings), new_ask("anna@example.org")
    upload_id = keys.web_upload_of(receive(store, PNG, settings, name="page.png").picture.key)
    people.wait(ask, upload_id)
    failed = Problem(kind="UnreadablePicture", message="It is broken.")
    mark_answered(store, delivery_of(store, upload_id), Outcome(upload="page.png", error=failed))
    assert late_mails.settle(store, outbox, settings) == 0
    assert not outbox.mails, "nobody has confirmed it"
    people.confirm(ask)
    assert late_mails.settle(store, outbox, settings) == 0
    assert [str(mail["To"]) for mail in outbox.mails] == ["anna@example.org"]
    people.confirm(ask)
    late_mails.settle(store, outbox, settings)
    assert len(outbox.mails) == 1


def test_one_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    store, outbox, settings = FilesStore(tmp_path), Outbox(), Settings(_env_file=None)
    for number, content in enumerate((b"\xff", b"anna@example.org")):
        upload_id = f"{number:022d}"
        receive(store, PNG, settings, name="page.png", upload_id=upload_id)
        store.put(keys.due(upload_id), content)
        failed = Problem(kind="UnreadablePicture", message="It is broken.")
        mark_answered(store, delivery_of(store, upload_id), Outcome(upload="page.png", error=failed))
    assert late_mails.settle(store, outbox, settings) == 1
    assert [str(mail["To"]) for mail in outbox.mails] == ["anna@example.org"]


def test_a_picture_that_never_came_costs_little_to_look_for(tmp_path: Path) -> None:
    store, outbox, settings = Counting(FilesStore(tmp_path)), Outbox(), Settings(_env_file=None)
    people, ask = OptIn(store, outbox, Signer("s" * 40), settings), new_ask("anna@example.org")
    for number in range(20):
        people.wait(ask, f"{number:022d}")
    people.confirm(ask)
    store.calls.clear()
    assert late_mails.settle(store, outbox, settings) == 20
    assert store.calls.total() <= 50
    assert not store.calls["put"]


def test_a_picture_that_has_not_been_answered_is_left_to_its_run(tmp_path: Path) -> None:
    store, outbox, settings = FilesStore(tmp_path), Outbox(), Settings(_env_file=None)
    people, ask = OptIn(store, outbox, Signer("s" * 40), settings), new_ask("anna@example.org")
    upload_id = keys.web_upload_of(receive(store, PNG, settings, name="page.png").picture.key)
    people.wait(ask, upload_id)
    people.confirm(ask)
    assert late_mails.settle(store, outbox, settings) == 1
    assert store.read(keys.marker(delivery_of(store, upload_id).id, "recipient")) == b"anna@example.org"


def test_what_nobody_confirms_is_forgotten_and_what_is_confirmed_is_kept() -> None:
    store, outbox = MemoryStore(), Outbox()
    people, ask, other = opt_in(store, outbox), new_ask("anna@example.org"), new_ask("bert@example.org")
    people.ask(ask, CLIENT, SITE)
    people.wait(ask, "x" * 22)
    people.confirm(other)
    store.now += 8 * DAY_SECONDS
    people.forget()
    assert [found.key.split("/")[2] for found in store.list(keys.ADDRESSES)] == ["confirmed"]


def test_a_quota_holds_among_many_and_ends_with_the_day() -> None:
    store, today = MemoryStore(), [datetime(2026, 11, 20, 23, tzinfo=UTC)]
    quotas = Quotas(store, lambda: today[0])

    def take(_: int) -> bool:
        try:
            quotas.take("uploads", "somebody", 10)
        except QuotaUsedUp:
            return False
        return True

    with ThreadPool(8) as pool:
        assert sum(pool.map(take, range(30))) == 10
    quotas.take("uploads", "somebody else", 10, amount=10)
    today[0] = datetime(2026, 11, 21, tzinfo=UTC)
    assert take(0)
    quotas.forget()
    with pytest.raises(NotFound):
        store.stat(keys.quota("2026-11-20", "uploads", "somebody"))
