"""What the command line shows: progress while it works, a table at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from inktally.document import Outcome

FINAL_STAGES = ("done", "failed", "answered before")


@contextmanager
def shown_progress(console: Console, pictures: int) -> Iterator[None]:
    """Show on `console` what is told of pictures (inktally.progress): moving lines on a terminal, else plain ones."""
    source = logging.getLogger("inktally.progress")
    shown = _Live(console, pictures) if console.is_terminal else _Plain(console)
    source.addHandler(shown)
    source.setLevel(logging.INFO)
    try:
        with shown:
            yield
    finally:
        source.removeHandler(shown)


class _Plain(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(Text(printable(record.getMessage())), soft_wrap=True)


class _Live(logging.Handler):
    """A bar over all pictures, and a line for each of the few at work."""

    def __init__(self, console: Console, pictures: int) -> None:
        super().__init__()
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[stage]}"),
            console=console,
            transient=True,
        )
        self._all = self._bar.add_task("", total=pictures, stage=Text("starting"))
        self._lines: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        picture, stage = fields.get("picture", ""), fields.get("stage", record.getMessage())
        line = Text.assemble((printable(PurePath(picture).name), "bold"), f"  {printable(stage)}")
        self._bar.update(self._all, stage=line)
        if stage.startswith(FINAL_STAGES):
            self._bar.advance(self._all)


def print_outcomes(console: Console, labels: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    """The table of all pictures, and below it what is wrong with those that failed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Picture", overflow="fold")
    for heading in ("Words", "Distinct", "Confidence"):
        table.add_column(heading, justify="right")
    table.add_column("Read")
    table.add_column("Seconds", justify="right")
    for label, outcome in zip(labels, outcomes, strict=True):
        table.add_row(Text(printable(label)), *_cells(outcome))
    console.print(table)
    for label, outcome in zip(labels, outcomes, strict=True):
        if outcome.error:
            console.print(
                Text.assemble((printable(label), "bold"), ": ", (printable(outcome.error.message), "red")),
                soft_wrap=True,
            )


def _cells(outcome: Outcome) -> tuple[str | Text, ...]:
    seconds = f"{sum(outcome.seconds.values()):.1f}"
    if outcome.error and not outcome.outputs:
        return "", "", "", Text("failed", "red"), seconds
    confidence = "" if outcome.mean_confidence is None else f"{outcome.mean_confidence:.1f} %"
    state = Text("cached", "cyan") if outcome.cached else Text("new", "green")
    return f"{outcome.words:,}", f"{outcome.distinct:,}", confidence, state, seconds


def printable(text: str) -> str:
    """`text` without what would move the cursor or hide."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
