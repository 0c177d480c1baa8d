"""What is told of the corpus after each comparison: to people as tables, to programs as one value, to both as files."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import pyarrow as pa
from pydantic import Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inktally import keys
from inktally.console import printable
from inktally.corpus import figures
from inktally.corpus.figures import By, CorpusWord, Group, Growth, MarkingWord
from inktally.corpus.manifest import Corpus, consistently
from inktally.corpus.plot import growth_svg
from inktally.corpus.reconciling import Changes
from inktally.document import Value
from inktally.outputs.counts_csv import harmless
from inktally.ports import Store
from inktally.scratch import scratch_folder
from inktally.settings import Settings

ROWS_AT_ONCE = 10_000


class CorpusReport(Value):
    """The corpus in figures; `files` are the addresses of what was written of it."""

    store: str
    documents: int
    tokens: int
    distinct: int
    unreadable: int
    words: tuple[CorpusWord, ...]
    growth: Growth
    by: By | None = None
    groups: tuple[Group, ...] = ()
    document: str = ""
    marking: tuple[MarkingWord, ...] = ()
    files: dict[str, str] = Field(default={})
    changes: Changes = Changes()


def report(store: Store, settings: Settings, *, top: int, by: By | None, document: str) -> CorpusReport:
    """Look at the corpus, and write the files. Raises `NotFound` for a document that it does not hold."""
    look = partial(_look, store=store, settings=settings, top=top, by=by, document=document)
    return consistently(store, look)


def _look(corpus: Corpus, *, store: Store, settings: Settings, top: int, by: By | None, document: str) -> CorpusReport:
    words, growth = figures.all_words(corpus), figures.growth(corpus)
    return CorpusReport(
        store=store.uri,
        documents=corpus.manifest.documents,
        tokens=corpus.manifest.tokens,
        distinct=words.num_rows,
        unreadable=corpus.manifest.unreadable,
        words=figures.corpus_words(words, top),
        growth=growth,
        by=by,
        groups=figures.groups(corpus, by) if by else (),
        document=document,
        marking=figures.marking_words(corpus, document, top) if document else (),
        files=_write(store, settings, words, growth),
    )


def _write(store: Store, settings: Settings, words: pa.Table, growth: Growth) -> dict[str, str]:
    table, curve = keys.corpus_report("words.csv"), keys.corpus_report("growth.svg")
    with scratch_folder(settings.scratch) as folder:
        path = folder / "words.csv"
        _write_csv(words, path)
        store.put(table, path)
    store.put(curve, growth_svg(growth))
    return {"words": store.address(table), "growth": store.address(curve)}


def _write_csv(words: pa.Table, path: Path) -> None:
    """As the counts of a single document are written (inktally/outputs/counts_csv.py)."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(words.column_names)
        for batch in words.to_batches(max_chunksize=ROWS_AT_ONCE):
            columns = [column.to_pylist() for column in batch.columns]
            writer.writerows((harmless(word), *numbers) for word, *numbers in zip(*columns, strict=True))


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
