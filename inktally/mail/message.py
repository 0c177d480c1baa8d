"""One mail: its addresses, its headers, its two parts. inktally/mail/letters.py says what is in it.

Names of pictures and addresses are strangers' text. Python's `email` decodes an encoded word (RFC 2047) in a value that
it is given, and some versions (3.11.7, 3.12.1) write the line end that was hidden in it. So no value may contain one
here, and what was written is read again (`inktally/mail/checking.py`). This holds in every version of Python.
"""

import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from inktally.delivery import Mail
from inktally.errors import BadSettings, RecipientRefused
from inktally.mail.checking import check_written
from inktally.text import is_hidden, shown

LONGEST_LOCAL_PART = 64  # bytes; RFC 5321, 4.5.3.1.1
LONGEST_ADDRESS = 254  # bytes; RFC 5321, 4.5.3.1.3, less the angle brackets

NAMED_ADDRESS = re.compile(r'\s*("[^"<>]*"|[^"<>@,;:]*)\s*<([^<>]*)>\s*')
LOCAL_PART = re.compile(r"[^\s\"(),.:;<>@\[\\\]]+(?:\.[^\s\"(),.:;<>@\[\\\]]+)*")
DOMAIN = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*", re.ASCII)
ENCODED = "=?"  # how an encoded word begins
LOCAL_DOMAINS = ("localhost", "localdomain")


def compose(
    template: str,
    subject: str,
    *,
    to: str,
    sender: str,
    message_id: str,
    values: dict[str, object],
    attachment: tuple[str, bytes] | None = None,
) -> Mail:
    """A mail of plain text and HTML, from the templates of that name; `attachment` is a JSON file: its name, its bytes.

    Raises `RecipientRefused` when `to` is no address, `BadSettings` when `sender` is none, `UnsafeMail`.
    """
    recipient, writer = valid_address(to), author(sender)
    headers = {
        "From": str(writer),
        "To": recipient,
        "Subject": _without_encoded_words(subject),
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": message_id,
        "Auto-Submitted": "auto-generated",  # RFC 3834: no robot shall answer
        "X-Auto-Response-Suppress": "All",  # the same, for Exchange
    }
    international = not (recipient + writer.addr_spec).isascii()
    written = EmailMessage(policy=SMTP.clone(utf8=international, cte_type="7bit"))
    for name, value in headers.items():
        written[name] = value
    written.set_content(render(f"{template}.txt", values))
    written.add_alternative(render(f"{template}.html", values | {"subject": subject}), subtype="html")
    if attachment:
        name, content = attachment
        name = _without_encoded_words(name)
        written.add_attachment(content, maintype="application", subtype="json", filename=name)
    mail = Mail(sender=writer.addr_spec, recipient=recipient, message_id=message_id, content=written.as_bytes())
    check_written(mail.content, headers, attachment[0] if attachment else "")
    return mail


def render(template: str, values: dict[str, object]) -> str:
    """The text of a template; what is put into a .html one is escaped."""
    return _templates().get_template(template).render(values)


def valid_address(text: str) -> str:
    """The one address in `text` ("a@b.c" or "Name <a@b.c>"), its domain in ASCII. Raises `RecipientRefused`."""
    _, written = _name_and_address(text)
    local, _, domain = unicodedata.normalize("NFC", written).rpartition("@")
    domain = _ascii_domain(domain)
    well_formed = LOCAL_PART.fullmatch(local) and DOMAIN.fullmatch(domain)
    is_plain = ENCODED not in text and not any(map(is_hidden, text))
    if (
        not (well_formed and is_plain)
        or _bytes(local) > LONGEST_LOCAL_PART
        or _bytes(f"{local}@{domain}") > LONGEST_ADDRESS
    ):
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
        local, _, domain = valid_address(sender).rpartition("@")
        return Address(shown(_name_and_address(sender)[0]), local, domain)
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


def _without_encoded_words(text: str) -> str:
    return text.replace(ENCODED, "= ?")


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
