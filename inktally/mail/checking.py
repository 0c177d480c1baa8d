"""A mail that was written is read again before it is sent: it must say what was meant, and nothing else.

The header is divided here by the letter of RFC 5322, so that a fault of Python's `email` cannot hide itself.
"""

import re
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import SMTP

from inktally.errors import UnsafeMail
from inktally.text import is_hidden

OF_THE_CONTENT = ("Content-Type", "MIME-Version")
OF_PARTS = {"content-type", "content-transfer-encoding", "content-disposition", "mime-version"}
FIELD = re.compile(rb"([!-9;-~]+):[^\r\n]*(?:\r\n[ \t]+[^ \t\r\n][^\r\n]*)*")
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")


def check_written(content: bytes, headers: Mapping[str, str], attachment: str) -> None:
    """Compare a mail with the headers, and the name of the attachment, that it was to get. Raises `UnsafeMail`."""
    if names(content) != sorted([*headers, *OF_THE_CONTENT]):
        raise UnsafeMail("A mail would have other headers than were meant; it is not sent.")
    read = message_from_bytes(content)  # by the simple parser: the other one takes 10 ms
    raw = dict(read.raw_items())
    for name, value in headers.items():
        _compare(name, value, str(SMTP.header_fetch_parse(name, raw[name])))
    parts = [part for part in read.walk() if part is not read]
    if any(name.lower() not in OF_PARTS for part in parts for name in part.keys()):  # noqa: SIM118 - repeated ones too
        raise UnsafeMail("A part of a mail would have other headers than were meant; it is not sent.")
    _compare("the attachment's name", attachment, "".join(part.get_filename("") for part in parts))


def names(content: bytes) -> list[str]:
    """The names of a mail's headers, sorted. Raises `UnsafeMail` for a header that RFC 5322 does not allow."""
    head = content.partition(b"\r\n\r\n")[0]
    fields = re.split(rb"\r\n(?![ \t])", head)
    found = [FIELD.fullmatch(field) for field in fields]
    if CONTROLS.search(head) or not all(found):
        raise UnsafeMail("A mail would have a header that breaks its lines; it is not sent.")
    return sorted(match[1].decode() for match in found if match)


def _compare(what: str, meant: str, read: str) -> None:
    """White space aside, which folding may change."""
    if any(map(is_hidden, read)) or _letters(read) != _letters(meant):
        raise UnsafeMail(f"{what} of a mail would not be read as it was meant; it is not sent.")


def _letters(text: str) -> str:
    return "".join(text.split())
