"""The counts as a table for spreadsheets."""

import io

from inktally.document import CountsDocument
from inktally.outputs.shared import tables
from inktally.outputs.shared.output import Output

COLUMNS = ("word", "count", "confidence")


def table(counts: CountsDocument) -> bytes:
    """RFC 4180 in UTF-8: a line a word, by falling count, under a line of headings.

    It starts with a byte order mark, without which Excel takes it for the country's old code page. What stands in the
    first place of a cell is made harmless as OWASP advises ("CSV Injection"): an apostrophe before = + - @ and their
    full-width forms. Control characters, line ends and tabs among them, become blanks. Texts always stand in quotes,
    and first, so that a program that takes semicolons for separators still finds no formula at a cell's beginning.
    """
    text = io.StringIO()
    tables.write_rows(text, COLUMNS, ((entry.word, entry.count, entry.confidence) for entry in counts.words))
    return text.getvalue().encode("utf-8-sig")


OUTPUT = Output(
    place=3,
    folder="word_counts",
    suffix=".csv",
    media_type="text/csv; charset=utf-8",
    labels={"en": "The counts (for spreadsheets)", "de": "Die Zählung (für Tabellenprogramme)"},
    write=lambda reading: table(reading.counts),
)
