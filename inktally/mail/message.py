"""One mail: its addresses, its headers, its two parts. inktally/mail/letters.py says what is in it."""

import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from inktally.errors import BadSettings, RecipientRefused
from inktally.text import _is_hidden, shown

LONGEST_LOCAL_PART = 64  # bytes; RFC 5321, 4.5.3.1.1
LONGEST_ADDRESS = 254  # bytes; RFC 5321, 4.5.3.1.3, less the angle brackets

NAMED_ADDRESS = re.compile(r'\s*("[^"<>]*"|[^"<>@,;:]*)\s*<([^<>]*)>\s*')
LOCAL_PART = re.compile(r"[^\s\"(),.:;<>@\[\\\]]+(?:\.[^\s\"(),.:;<>@\[\\\]]+)*")
DOMAIN = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*", re.ASCII)
LOCAL_DOMAINS = ("localhost", "localdomain")


def compose(
    template: str, subject: str, *, to: str, sender: str, message_id: str, values: dict[str, object]
) -> EmailMessage:
    """A mail of plain text and HTML, from the templates of that name.

    Raises `RecipientRefused` when `to` is no address, `BadSettings` when `sender` is none.
    """
    addressee, writer = _address(valid_address(to)), author(sender)
    international = not (addressee.addr_spec + writer.addr_spec).isascii()
    mail = EmailMessage(policy=SMTP.clone(utf8=international, cte_type="7bit"))
    mail["From"], mail["To"], mail["Subject"] = writer, addressee, subject
    mail["Date"], mail["Message-ID"] = datetime.now(UTC), message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no robot shall answer
    mail["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    mail.set_content(render(f"{template}.txt", values))
    mail.add_alternative(render(f"{template}.html", values | {"subject": subject}), subtype="html")
    return mail


def render(template: str, values: dict[str, object]) -> str:
    """The text of a template; what is put into a .html one is escaped."""
    return _templates().get_template(template).render(values)


def valid_address(text: str) -> str:
    """The one address in `text` ("a@b.c" or "Name <a@b.c>"), its domain in ASCII. Raises `RecipientRefused`."""
    _, written = _name_and_address(text)
    local, _, domain = unicodedata.normalize("NFC", written).rpartition("@")
    domain = _ascii_domain(domain)
    well_formed = LOCAL_PART.fullmatch(local) and DOMAIN.fullmatch(domain) and not any(map(_is_hidden, text))
    if not well_formed or _bytes(local) > LONGEST_LOCAL_PART or _bytes(f"{local}@{domain}") > LONGEST_ADDRESS:
        raise RecipientRefused(f"{shown(text)!r} is not a mail address; one is written like anna@example.org.")
    return f"{local}@{domain}"


def public_address(text: str) -> str:
    """As `valid_address`, for what strangers say: it must lead out of this machine."""
    address = valid_address(text)
    domain = address.rpartition("@")[2].lower()
    last = domain.rpartition(".")[2]
    if "." not in domain or last in LOCAL_DOMAINS or last.isdigit():
        raise RecipientRefused(
            f"Mail is sent to public addresses only, like anna@example.org; {shown(text)!r} is none."
        )
    return address


def without_address(text: str, address: str) -> str:
    """`text` with the recipient's address left out of it, in whatever spelling it stands there."""
    spellings = {address, address.strip(), shown(address)}
    with suppress(RecipientRefused):
        spellings.add(valid_address(address))
    for spelling in sorted(spellings - {""}, key=len, reverse=True):
        written = [repr(spelling), f"<{spelling}>", *([spelling] if "@" in spelling else [])]
        text = re.sub("|".join(map(re.escape, written)), "the recipient", text, flags=re.IGNORECASE)
    return text[:1].upper() + text[1:]


def author(sender: str) -> Address:
    """The name and address of the sender. Raises `BadSettings`."""
    try:
        return _address(valid_address(sender), shown(_name_and_address(sender)[0]))
    except RecipientRefused as error:
        wanted = "it must read like Inktally <inktally@example.org>"
        raise BadSettings(f"INKTALLY_MAIL_FROM is {shown(sender)!r}; {wanted}.") from error


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("inktally.mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.filters["grouped"] = "{:,}".format
    return environment


def _address(address: str, name: str = "") -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


def _name_and_address(text: str) -> tuple[str, str]:
    found = NAMED_ADDRESS.fullmatch(text)
    return (found[1].strip(' "'), found[2].strip()) if found else ("", text.strip())


def _ascii_domain(domain: str) -> str:
    """As the DNS has it (IDNA 2008: a sharp s stays one); what cannot be, as it is."""
    if domain.isascii():
        return domain
    import idna  # loads tables

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
