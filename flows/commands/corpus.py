"""The command line of flows/corpus_flow.py: the corpus as tables."""

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.commands.console import console_of, table_of
from flows.commands.uploads import Flow, in_order, prefect_for_commands
from inktally.corpus import reconciling
from inktally.corpus.figures import By
from inktally.corpus.report import CorpusReport
from inktally.errors import BadSettings, InktallyError
from inktally.keys import INPUT
from inktally.text import printable
from tasks import wiring
from tasks.corpus_steps import TOP
from tasks.ending import result

DESCRIPTION = "Bring the word counts over all documents up to date, and report them."


def main(flow: Flow, argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    asked = parser.parse_args(argv)
    return in_order(parser, lambda stdout: _told(flow, asked, stdout))


def _told(flow: Flow, asked: argparse.Namespace, stdout: TextIO) -> int:
    try:
        _move(asked)
        with prefect_for_commands():
            arguments = (asked.store, asked.by, asked.top, asked.document)
            state = flow(*arguments, recount=asked.recount, return_state=True)
        told = result(state)
        if isinstance(told, BaseException):
            raise told
    except BadSettings:
        raise
    except InktallyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if asked.json:
        stdout.write(told.model_dump_json() + "\n")
    else:
        print_report(console_of(stdout), told)
    return 0


def _move(asked: argparse.Namespace) -> None:
    """Take documents out of the corpus, or in again."""
    store = wiring.store(asked.store or wiring.settings().store)
    for name in asked.remove:
        reconciling.exclude(store, name.removeprefix(INPUT))
    for name in asked.restore:
        reconciling.include(store, name.removeprefix(INPUT))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.corpus_flow", description=DESCRIPTION)
    add = parser.add_argument
    add("store", nargs="?", default="", help="s3://bucket or a folder; without it, the setting")
    add("--by", choices=get_args(By), help="also by day, or by the first folder of the documents' names")
    add("--top", type=int, default=TOP, metavar="N", help=f"how many words ({TOP})")
    add("--document", default="", metavar="NAME", help="what marks this document, by TF-IDF")
    add("--remove", action="append", default=[], metavar="NAME", help="take this document out; its outputs stay")
    add("--restore", action="append", default=[], metavar="NAME", help="take it in again")
    add("--recount", action="store_true", help="read all documents anew, and put right what is not as they say")
    add("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    return parser


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
    table = table_of("Word", "Count", "Documents", "Share")
    for entry in told.words:
        share = f"{entry.total / told.tokens:.2%}"
        table.add_row(Text(printable(entry.word)), f"{entry.total:,}", f"{entry.documents:,}", share)
    return table


def _marking_table(told: CorpusReport) -> Table:
    title = Text(f"What marks {printable(told.document)}")
    table = table_of("Word", "Count", "Documents", "TF-IDF", title=title, title_style="bold", title_justify="left")
    for entry in told.marking:
        table.add_row(Text(printable(entry.word)), f"{entry.count:,}", f"{entry.documents:,}", f"{entry.score:.4f}")
    return table


def _groups_table(told: CorpusReport) -> Table:
    assert told.by is not None
    table = table_of(told.by.capitalize(), "Documents", "Words", "Distinct")
    table.add_column("Most frequent", overflow="fold")
    for group in told.groups:
        frequent = printable(", ".join(f"{entry.word} {entry.total:,}" for entry in group.words))
        numbers = (f"{number:,}" for number in (group.documents, group.tokens, group.distinct))
        table.add_row(Text(printable(group.name) or "(none)"), *numbers, Text(frequent))
    return table
