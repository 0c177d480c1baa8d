"""The counts as a table for spreadsheets, in which no word that somebody wrote on a page becomes a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

from inktally.document import CountsDocument

COLUMNS = ("word", "count", "confidence")
FORMULA = re.compile(r"\s*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
                     r"\N{FULLWIDTH COMMERCIAL AT}]")  # fmt: skip
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def table(counts: CountsDocument) -> bytes:
    """RFC 4180 in UTF-8: a line a word, by falling count, under a line of headings.

    It starts with a byte order mark, without which Excel takes it for the country's old code page. What stands in the
    first place of a cell is made harmless as OWASP advises ("CSV Injection"): an apostrophe before = + - @ and their
    full-width forms. Control characters, line ends and tabs among them, become blanks. Texts always stand in quotes,
    and first, so that a program that takes semicolons for separators still finds no formula at a cell's beginning.
    """
    text = io.StringIO()
    write_rows(text, COLUMNS, ((entry.word, entry.count, entry.confidence) for entry in counts.words))
    return text.getvalue().encode("utf-8-sig")


def write_rows(file: TextIO, headings: Sequence[str], rows: Iterable[Iterable[str | float]]) -> None:
    """A table of that form into a file that was opened without newlines of its own."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(headings)
    writer.writerows([harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def harmless(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula, on one line."""
    line = BREAKS.sub(" ", text)
    return f"'{line}" if FORMULA.match(line) else line
