"""Text of strangers made fit to be shown: on terminals, in mails, as file names."""

import re
import unicodedata


def printable(text: str) -> str:
    """`text` for terminals and logs, on one line: escapes replace what moves the cursor, hides or turns text."""
    if text.isprintable():
        return text
    return "".join(_escaped(character) if is_hidden(character) else character for character in text)


LONGEST_NAME = 60


JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def shown(text: str, width: int = LONGEST_NAME) -> str:
    """`text` fit for the eye: what hides or turns text is replaced, and the middle of a long text is cut out."""
    visible = "".join("\N{REPLACEMENT CHARACTER}" if is_hidden(character) else character for character in text)
    if len(visible) <= width:
        return visible
    tail = width // 3
    return f"{visible[: width - tail - 1]}\N{HORIZONTAL ELLIPSIS}{visible[-tail:]}"


def file_name(text: str) -> str:
    """`text` as a file name that every file system takes."""
    return re.sub(r'[\\/:*?"<>|\N{REPLACEMENT CHARACTER}]', "_", shown(text)).strip(". ") or "picture"


def is_hidden(character: str) -> bool:
    """Whether it is a control, a line end, a surrogate, or invisible without being a joiner, which scripts need."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in JOINERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
