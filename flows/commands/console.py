"""What the command line shows: progress while it works, a table at the end."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import PurePath
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from inktally.batch.plan import Plan
from inktally.batch.summary import Summary
from inktally.delivery import Outcome
from inktally.text import printable

WIDTH_OF_FILES = 120  # characters, where a table goes to a file or a pipe
MEGABYTE = 1_000_000
MOST_FAILURES = 20  # of a batch, that are shown
FINAL_STAGES = ("done", "failed", "answered before")


def console_of(stdout: TextIO) -> Console:
    """A console for tables: as wide as the terminal, and of one width elsewhere."""
    return Console(file=stdout, width=None if stdout.isatty() else WIDTH_OF_FILES)


def table_of(name: str, *numbers: str, **options: Any) -> Table:
    """A table whose first column is text, and whose others are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold", **options)
    table.add_column(name, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


@contextmanager
def shown_progress(console: Console, pictures: int) -> Iterator[None]:
    """Show on `console` what is told of pictures (inktally.progress): moving lines on a terminal, else plain ones."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    stage = TextColumn("{task.fields[stage]}")
    bar = Progress(*columns, stage, console=console, transient=True)
    task = bar.add_task("", total=pictures, stage=Text("starting"))

    def show(record: logging.LogRecord) -> None:
        fields = vars(record)
        picture, stage = fields.get("picture", ""), fields.get("stage", record.getMessage())
        line = Text.assemble((printable(PurePath(picture).name), "bold"), f"  {printable(stage)}")
        bar.update(task, stage=line, advance=int(stage.startswith(FINAL_STAGES)))

    with _shown(console, bar, show, logging.INFO):
        yield


@contextmanager
def shown_batch(console: Console) -> Iterator[None]:
    """Show on `console` how far a batch is: a bar on a terminal, else a line every ten seconds."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("starting", total=None)

    def show(record: logging.LogRecord) -> None:
        fields = vars(record)
        done, total = fields.get("done"), fields.get("total")
        bar.update(task, description=printable(record.getMessage()), completed=done, total=total)

    with _shown(console, bar, show, logging.DEBUG):
        yield


@contextmanager
def _shown(console: Console, bar: Progress, show: Callable[[logging.LogRecord], None], level: int) -> Iterator[None]:
    """On a terminal `show` moves the bar with each record of at least this level; elsewhere each is a line."""

    def print_line(record: logging.LogRecord) -> None:
        console.print(Text(printable(record.getMessage())), soft_wrap=True)

    source = logging.getLogger("inktally.progress")
    shown = logging.Handler(level if console.is_terminal else logging.INFO)
    shown.emit = show if console.is_terminal else print_line  # type: ignore[assignment]
    source.addHandler(shown)
    source.setLevel(level)
    try:
        with bar if console.is_terminal else nullcontext():
            yield
    finally:
        source.removeHandler(shown)


def print_plan(console: Console, plan: Plan) -> None:
    """What a batch would do."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    reading = f"would be read: {plan.bytes / MEGABYTE:,.1f} MB{_estimate(plan)}"
    rows = [
        (plan.pictures, "pictures"),
        (plan.answered_before, "have an answer, and would be skipped"),
        (plan.left_to_others, "are in the hands of another run, or have gone"),
        (plan.rejected, "cannot be read"),
        (plan.known, "are known, and would be answered without being read"),
        (plan.duplicates, "are duplicates of others below, and would be answered with them"),
        (plan.new, reading),
    ]
    for count, meaning in rows:
        if count or meaning in ("pictures", reading):
            table.add_row(f"{count:,}", meaning)
    console.print(table)
    if plan.counted_before:
        note = f"A run that was stopped had counted {plan.counted_before:,} pictures; the next one only finishes those."
        console.print(note, soft_wrap=True)


def _estimate(plan: Plan) -> str:
    """What reading would take and cost, as far as it is known."""
    time = "" if plan.seconds is None or not plan.new else f", about {plan.seconds / 60:,.1f} min on this machine"
    money = f", {plan.dollars:,.2f} US dollars at most if each has one page" if plan.dollars else ""
    return time + money


def print_summary(console: Console, summary: Summary) -> None:
    """How a batch ended: its most frequent words, what became of its pictures, and where the rest stands."""
    tally, seconds = summary.tally, sum(summary.seconds.values())
    if summary.top:
        table = table_of("Word", "Count", "Pictures")
        for word in summary.top:
            table.add_row(Text(printable(word.word)), f"{word.count:,}", f"{word.documents:,}")
        console.print(table)
        console.print()
    counted = f"{tally.words:,} words, {summary.distinct:,} distinct, in {seconds:,.1f} s"
    console.print(Text.assemble((f"{tally.answered:,} pictures answered", "bold"), f": {counted}"), soft_wrap=True)
    others = {
        "new": tally.recognised,
        "known or duplicates": tally.known,
        "answered before": tally.answered_before,
        "left to other runs": tally.left_to_others + tally.taken_by_others,
        "cannot be read": tally.rejected,
        "not answered": tally.failed + tally.unanswered,
    }
    console.print(", ".join(f"{count:,} {name}" for name, count in others.items() if count), soft_wrap=True)
    if summary.resumed:
        note = "An earlier run had been stopped, and was finished now; for pictures that have come since, run it again."
        console.print(note, soft_wrap=True)
    for failure in summary.failures[:MOST_FAILURES]:
        line = Text.assemble((printable(failure.picture), "bold"), ": ", (printable(failure.problem.message), "red"))
        console.print(line, soft_wrap=True)
    for name, address in summary.reports.items():
        console.print(f"All {name}: {printable(address)}", soft_wrap=True, highlight=False, markup=False)


def print_outcomes(console: Console, labels: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    """The table of all pictures, and below it what is wrong with those that failed, or to be known of others."""
    table = table_of("Picture", "Words", "Distinct", "Confidence")
    table.add_column("Read")
    table.add_column("Seconds", justify="right")
    for label, outcome in zip(labels, outcomes, strict=True):
        table.add_row(Text(printable(label)), *_cells(outcome))
    console.print(table)
    for label, outcome in zip(labels, outcomes, strict=True):
        said = [(printable(outcome.error.message), "red")] if outcome.error else []
        said += [(printable(f"page {each.page}: {each.message}"), "yellow") for each in outcome.warnings]
        for text in said:
            console.print(Text.assemble((printable(label), "bold"), ": ", text), soft_wrap=True)


def _cells(outcome: Outcome) -> tuple[str | Text, ...]:
    seconds = f"{sum(outcome.seconds.values()):.1f}"
    if outcome.error and not outcome.outputs:
        return "", "", "", Text("failed", "red"), seconds
    confidence = "" if outcome.mean_confidence is None else f"{outcome.mean_confidence:.1f} %"
    state = Text("cached", "cyan") if outcome.cached else Text("new", "green")
    return f"{outcome.words:,}", f"{outcome.distinct:,}", confidence, state, seconds
