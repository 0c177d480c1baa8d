"""Whose address is whose: results of uploads from the page are mailed only to addresses that have been confirmed.

Whoever types an address has to show that its mail reaches them: a link is mailed, once a day at most, and what it
confirms is the address *for the browser that asked* (its nonce). So nobody learns whether an address is known here, and
nobody can have results sent to somebody else. Pictures that come meanwhile wait under the nonce; confirming makes them
due, and `inktally/intake/late_mails.py` sees that they are mailed. A link that cannot be mailed now, because the mail
service is away or has to hear from the person first, or because the day's budget is spent, waits too. Addresses are in
keys as hashes only.
"""

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from inktally import keys
from inktally.delivery import Mail
from inktally.document import Value, sha256_of
from inktally.errors import (
    AccessDenied,
    BadSettings,
    Busy,
    InktallyError,
    MailRefused,
    NotFound,
    Overwritten,
    QuotaUsedUp,
    RecipientRefused,
)
from inktally.lease import leased
from inktally.mail.links import Signer
from inktally.mail.message import author, compose, public_address, without_address
from inktally.mail.quotas import Client, Quotas
from inktally.ports import Notifier, Store, Verifier, stat_or_none
from inktally.settings import Settings

logger = logging.getLogger(__name__)

DAY_SECONDS = 24 * 60 * 60
NONCE_BYTES = 12
SAME_DOMAINS = {"googlemail.com": "gmail.com"}
IGNORE_DOTS = {"gmail.com"}
ALL = "all"

Sent = Literal["mailed", "mailed before", "verifying", "kept"]
"""`verifying`: the mail service itself must hear from the person first, and has written to them. `kept`: for later."""
SUBJECTS = {"en": "Confirm your address", "de": "Bestätigen Sie Ihre Adresse"}


class Ask(Value):
    """A browser that says an address is its user's."""

    address: str
    nonce: str

    @property
    def person(self) -> str:
        """The address in one spelling. Nothing but case is evened out: who is asked is who will be mailed."""
        return self.address.lower()


class Confirmation(Value):
    """The link that an ask is to be mailed: to which site, and in which language."""

    ask: Ask
    site: str
    language: str


def new_ask(text: str) -> Ask:
    """Raises `RecipientRefused` for what is no address."""
    return Ask(address=public_address(text), nonce=secrets.token_urlsafe(NONCE_BYTES))


def mailbox(address: str) -> str:
    """The same for all spellings that reach one person: case, `+tags`, and Gmail's dots and two domains."""
    local, _, domain = address.lower().rpartition("@")
    local, domain = local.partition("+")[0] or local, SAME_DOMAINS.get(domain, domain)
    return f"{local.replace('.', '') if domain in IGNORE_DOTS else local}@{domain}"


@dataclass(frozen=True)
class OptIn:
    """Asks people for confirmation, and remembers who has given it."""

    store: Store
    notifier: Notifier
    signer: Signer
    settings: Settings

    def is_confirmed(self, ask: Ask) -> bool:
        return stat_or_none(self.store, self._confirmed(ask)) is not None

    def hold(self, upload_ids: Iterable[str], ask: Ask, client: Client, site: str, language: str = "en") -> None:
        """Have results mailed once the address is confirmed; its owner is asked, if that cannot be now, then later.

        Raises `QuotaUsedUp` when the client has given too many addresses today, `RecipientRefused`.
        """
        self.ask(ask, client, site, language)
        for upload_id in upload_ids:
            self.wait(ask, upload_id)

    def ask(self, ask: Ask, client: Client, site: str, language: str = "en") -> Sent:
        """Mail the link, unless this person has been mailed within a day; `client` is who causes it. Raises as `hold`.

        When the mail service is away, or all have caused as many mails as a day may have, the link is mailed later.
        """
        self._take_quota(ask, client)
        letter = Confirmation(ask=ask, site=site, language=language)
        try:
            return self._mail(letter)
        except (MailRefused, AccessDenied, BadSettings, QuotaUsedUp) as error:
            logger.warning("a confirmation cannot be mailed now: %s", error)
            self._keep(letter)
            return "kept"

    def mail_waiting(self) -> int:
        """Mail the links that could not be mailed when they were asked for, the oldest first. How many are left."""
        left = 0
        waiting = sorted(self.store.list(keys.UNSENT), key=lambda found: -found.age)
        for number, found in enumerate(waiting):
            try:
                left += not self._is_through(found.key)
            except QuotaUsedUp:  # nor will any of the others be mailed today
                return left + len(waiting) - number
        return left

    def open(self, token: str) -> Ask:
        """What a mailed link asks to confirm. Raises `UnknownLink`, `LinkExpired`."""
        seconds = self.settings.site_confirm_hours * 60 * 60
        return Ask.model_validate(self.signer.open("confirm", token, seconds))

    def confirm(self, ask: Ask) -> None:
        """Remember it, and make due what waits."""
        self.store.put(self._confirmed(ask), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}".encode())
        for waiting in list(self.store.list(keys.address(ask.person, f"waiting/{ask.nonce}/"))):
            self.store.put(keys.due(waiting.key.rpartition("/")[2]), ask.address.encode())
            self.store.remove(waiting.key)

    def wait(self, ask: Ask, upload_id: str) -> None:
        """Have the result of an upload mailed once the address is confirmed."""
        self.store.put(keys.address(ask.person, f"waiting/{ask.nonce}/{upload_id}"), b"")
        if self.is_confirmed(ask):  # in the meantime
            self.confirm(ask)

    def is_verifying(self, ask: Ask) -> bool:
        """Whether the mail service waits for the person to answer a mail of its own."""
        return isinstance(self.notifier, Verifier) and stat_or_none(self.store, self._verifying(ask)) is not None

    def forget(self) -> None:
        """Remove what nobody has confirmed in time."""
        for found in [*self.store.list(keys.ADDRESSES), *self.store.list(keys.UNSENT)]:
            lasts = DAY_SECONDS if found.key.endswith("/asked") else self.settings.site_link_days * DAY_SECONDS
            if "/confirmed/" not in found.key and found.age > lasts:
                self.store.remove(found.key)

    def _take_quota(self, ask: Ask, client: Client) -> None:
        """For the first time in a day that a browser gives an address, mailed or not: nobody is to learn which."""
        who = f"{ask.nonce} {ask.person}"
        if not self._quotas.has_taken("ask", who):
            self._quotas.take_as("mails-of-client", client, self.settings.site_mails_per_client)
            self._quotas.note("ask", who)

    def _mail(self, letter: Confirmation) -> Sent:
        ask = letter.ask
        if not self._claim_the_day(ask):
            return "mailed before"
        try:
            sent = self._send_within_budget(letter)
        except InktallyError as error:
            self.store.remove(self._asked(ask))  # they have not been mailed
            raise type(error)(without_address(str(error), ask.address)) from None
        self.store.remove(self._asked(ask) if sent == "verifying" else self._verifying(ask))
        return sent

    def _send_within_budget(self, letter: Confirmation) -> Sent:
        """Nobody learns from a budget that is spent who was mailed: pictures are taken all the same."""
        self._quotas.take("mails", ALL, self.settings.site_mails_per_day)
        try:
            return self._send(letter)
        except InktallyError:
            self._quotas.give_back("mails", ALL)
            raise

    def _send(self, letter: Confirmation) -> Sent:
        try:
            self.notifier.send(self._composed(letter))
        except RecipientRefused:
            if not isinstance(self.notifier, Verifier) or self.notifier.is_verified(letter.ask.address):
                raise
            self._have_verified(self.notifier, letter)
            return "verifying"
        return "mailed"

    def _composed(self, letter: Confirmation) -> Mail:
        ask, code = letter.ask, letter.language if letter.language in SUBJECTS else "en"
        link = f"{letter.site}/confirm/{self.signer.sign('confirm', ask.model_dump())}"
        hours = round(self.settings.site_confirm_hours)
        return compose(
            f"confirm_{code}",
            SUBJECTS[code],
            to=ask.address,
            sender=self.settings.mail_from,
            message_id=f"<{sha256_of(ask.nonce)}.confirm@{author(self.settings.mail_from).domain}>",
            values={"link": link, "site": letter.site, "hours": hours, "lang": code},
        )

    def _have_verified(self, verifier: Verifier, letter: Confirmation) -> None:
        """Have the mail service write to the person, once a day; that they answer shows no browser to be theirs."""
        begun = stat_or_none(self.store, self._verifying(letter.ask))
        if begun is None or begun.age > DAY_SECONDS:
            verifier.begin_verification(letter.ask.address)
            self.store.put(self._verifying(letter.ask), b"")
        self._keep(letter)

    def _keep(self, letter: Confirmation) -> None:
        self.store.put(keys.unsent(letter.ask.person, letter.ask.nonce), letter.model_dump_json().encode())

    def _is_through(self, key: str) -> bool:
        """Whether a letter need not wait any more. Raises `QuotaUsedUp`."""
        try:
            with leased(self.store, keys.lock(key), ttl=self.settings.lease_seconds, timeout=0):
                letter = Confirmation.model_validate_json(self.store.read(key))
                if self._is_awaited(letter.ask) or self._mail(letter) == "verifying":
                    return False
        except (NotFound, ValidationError, RecipientRefused) as error:
            logger.warning("a confirmation will not be mailed: %s", type(error).__name__)
        except Busy:
            return False
        except QuotaUsedUp:
            raise
        except InktallyError as error:
            logger.warning("a confirmation cannot be mailed now: %s", error)
            return False
        self.store.remove(key)
        return True

    def _is_awaited(self, ask: Ask) -> bool:
        notifier = self.notifier
        return isinstance(notifier, Verifier) and self.is_verifying(ask) and not notifier.is_verified(ask.address)

    def _claim_the_day(self, ask: Ask) -> bool:
        """Whether it is us who may mail this person today."""
        key, content = self._asked(ask), f"{ask.nonce} {datetime.now(UTC).isoformat()}".encode()
        standing = stat_or_none(self.store, key)
        if standing is not None and standing.age < DAY_SECONDS:
            return False
        try:
            self.store.put(key, content, if_absent=standing is None, if_match=standing.etag if standing else "")
        except Overwritten:
            return False
        return True

    @property
    def _quotas(self) -> Quotas:
        return Quotas(self.store)

    def _asked(self, ask: Ask) -> str:
        return keys.address(mailbox(ask.address), "asked")

    def _verifying(self, ask: Ask) -> str:
        return keys.address(mailbox(ask.address), "verifying")

    def _confirmed(self, ask: Ask) -> str:
        return keys.address(ask.person, f"confirmed/{ask.nonce}")
