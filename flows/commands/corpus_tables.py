"""The corpus as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inktally.corpus.report import CorpusReport
from inktally.text import printable


def print_report(console: Console, told: CorpusReport) -> None:
    console.print(_summary(told), soft_wrap=True)
    if told.document:
        console.print(_marking_table(told))
    else:
        console.print(_words_table(told))
    if told.groups:
        console.print(_groups_table(told))
    for name, problem in told.changes.unreadable.items():
        console.print(Text.assemble((printable(name), "bold"), ": ", (printable(problem), "red")), soft_wrap=True)
    for name, address in told.files.items():
        console.print(f"{name.capitalize()}: {printable(address)}", soft_wrap=True, highlight=False, markup=False)


def _summary(told: CorpusReport) -> Text:
    changes, growth = told.changes, told.growth
    law = f"; distinct ≈ {growth.factor:.3g} · words^{growth.exponent:.3f} (Heaps)" if growth.factor else ""
    changed = f"{changes.added:,} added, {changes.changed:,} changed, {changes.removed:,} removed"
    if changes.mended:
        changed += f", {changes.mended:,} parts were wrong and have been made anew"
    return Text.assemble(
        (f"{told.documents:,} documents, {told.tokens:,} words, {told.distinct:,} distinct", "bold"),
        f"{law}\n{changed}",
        (f"; {told.unreadable:,} cannot be read" if told.unreadable else "", "red"),
    )


def _words_table(told: CorpusReport) -> Table:
    table = _table("Word", "Count", "Documents", "Share")
    for entry in told.words:
        share = f"{entry.total / told.tokens:.2%}"
        table.add_row(Text(printable(entry.word)), f"{entry.total:,}", f"{entry.documents:,}", share)
    return table


def _marking_table(told: CorpusReport) -> Table:
    table = _table("Word", "Count", "Documents", "TF-IDF")
    table.title = Text(f"What marks {printable(told.document)}")
    for entry in told.marking:
        table.add_row(Text(printable(entry.word)), f"{entry.count:,}", f"{entry.documents:,}", f"{entry.score:.4f}")
    return table


def _groups_table(told: CorpusReport) -> Table:
    assert told.by is not None
    table = _table(told.by.capitalize(), "Documents", "Words", "Distinct")
    table.add_column("Most frequent", overflow="fold")
    for group in told.groups:
        frequent = printable(", ".join(f"{entry.word} {entry.total:,}" for entry in group.words))
        numbers = (f"{number:,}" for number in (group.documents, group.tokens, group.distinct))
        table.add_row(Text(printable(group.name) or "(none)"), *numbers, Text(frequent))
    return table


def _table(name: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_style="bold", title_justify="left")
    table.add_column(name, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table
