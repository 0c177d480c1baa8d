"""Tables for spreadsheets, in which no word that somebody wrote on a page becomes a formula."""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

FORMULA = re.compile(r"\s*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
                     r"\N{FULLWIDTH COMMERCIAL AT}]")  # fmt: skip
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def write_rows(file: TextIO, headings: Sequence[str], rows: Iterable[Iterable[str | float]]) -> None:
    """A table of that form into a file that was opened without newlines of its own."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(headings)
    writer.writerows([harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def harmless(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula, on one line."""
    line = BREAKS.sub(" ", text)
    return f"'{line}" if FORMULA.match(line) else line
