"""Cached recognitions as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from inktally.cache.clearing import DAY_SECONDS, Cleared
from inktally.cache.recognitions import Cached
from inktally.text import printable

NAMED = 3


def print_cached(console: Console, chosen: Sequence[Cached]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Recognition", no_wrap=True)
    table.add_column("Engine", overflow="fold")
    table.add_column("Size", justify="right")
    table.add_column("Days", justify="right")
    table.add_column("Documents", overflow="fold")
    for cached in chosen:
        table.add_row(
            cached.content[:12],
            Text(printable(cached.engine)),
            decimal(cached.size),
            f"{cached.age / DAY_SECONDS:,.1f}",
            Text(_documents(cached)),
        )
    console.print(table)
    console.print(_all(len(chosen), sum(cached.size for cached in chosen)), highlight=False)


def _all(recognitions: int, size: int) -> str:
    return f"{recognitions:,} recognition{'s' if recognitions != 1 else ''} ({decimal(size)})"


def _documents(cached: Cached) -> str:
    if cached.documents is None:
        return "cannot be told"
    more = len(cached.documents) - NAMED
    named = ", ".join(printable(name) for name in cached.documents[:NAMED])
    return f"{named} and {more:,} more" if more > 0 else named or "none"


def print_cleared(console: Console, cleared: Cleared, *, dry_run: bool) -> None:
    verb = "would be removed" if dry_run else "removed"
    console.print(f"{_all(cleared.recognitions, cleared.size)} {verb}", highlight=False)
    if cleared.in_use:
        console.print(f"{cleared.in_use:,} left alone: runs are at work that may use them", style="yellow")
    if cleared.receipts or cleared.leases:
        left = f"{cleared.receipts:,} receipts that led nowhere, {cleared.leases:,} leases of runs that died"
        console.print(f"{left} {verb}", highlight=False)
