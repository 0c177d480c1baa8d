"""The command line of flows/cache_flow.py: cached recognitions as tables, and what is removed of them."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from flows.commands.console import console_of, table_of
from inktally.cache.clearing import DAY_SECONDS, Cleared
from inktally.cache.recognitions import Cached, Choice
from inktally.errors import BadSettings, InktallyError
from inktally.keys import INPUT
from inktally.text import printable
from tasks.cache_steps import EXPIRE_DAYS, StoreCache

NAMED = 3


def main(argv: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(argv)
    logging.getLogger("prefect").setLevel(logging.WARNING)
    try:
        command: Callable[[argparse.Namespace, Console], int] = asked.command
        return command(asked, console_of(sys.stdout))
    except InktallyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _list(asked: argparse.Namespace, console: Console) -> int:
    chosen = StoreCache(asked.store).chosen(_choice(asked))
    if asked.json:
        sys.stdout.writelines(cached.model_dump_json() + "\n" for cached in chosen)
    else:
        print_cached(console, chosen)
    return 0


def _clear(asked: argparse.Namespace, console: Console) -> int:
    choice, work = _choice(asked), StoreCache(asked.store, dry_run=asked.dry_run)
    if choice == Choice() and not asked.all:
        raise BadSettings("Say which: --older-than, --engine, --document, --unused, or --all.")
    chosen = work.chosen(choice)
    if not asked.json:
        print_cached(console, chosen)
    return _told(asked, console, lambda: work.clear(chosen)) if _confirmed(asked, len(chosen)) else 1


def _expire(asked: argparse.Namespace, console: Console) -> int:
    if asked.older_than is None:
        asked.older_than = EXPIRE_DAYS
    choice, work = _choice(asked), StoreCache(asked.store, dry_run=asked.dry_run)
    question = len(work.chosen(choice))
    return _told(asked, console, lambda: work.expire(choice)) if _confirmed(asked, question) else 1


def _told(asked: argparse.Namespace, console: Console, remove: Callable[[], Cleared]) -> int:
    cleared = remove()
    if asked.json:
        sys.stdout.write(cleared.model_dump_json() + "\n")
    else:
        print_cleared(console, cleared, dry_run=asked.dry_run)
    return 0


def _confirmed(asked: argparse.Namespace, recognitions: int) -> bool:
    if asked.yes or asked.dry_run or not recognitions:
        return True
    if not sys.stdin.isatty():
        raise BadSettings("Nobody is there to ask; give --yes to remove, or --dry-run to see what would be removed.")
    return input(f"Remove {recognitions} recognitions? They are read anew when they are needed. [y/N] ").lower() == "y"


def _choice(asked: argparse.Namespace) -> Choice:
    return Choice(
        age=(asked.older_than or 0.0) * DAY_SECONDS,
        engine=asked.engine,
        document=asked.document.removeprefix(INPUT),
        unused=asked.unused,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.cache_flow",
        description="Look after cached recognitions. Published outputs stay; what is removed is read anew when needed.",
    )
    commands = parser.add_subparsers(required=True, metavar="list|expire|clear")
    for name, command, told in (
        ("list", _list, "what is cached: size, age, engine, and the documents that use it"),
        ("expire", _expire, f"remove what is older ({EXPIRE_DAYS:g} days), and what runs that died left behind"),
        ("clear", _clear, "remove what is chosen"),
    ):
        added = commands.add_parser(name, help=told, description=told.capitalize() + ".")
        added.set_defaults(command=command)
        added.add_argument("--json", action="store_true", help="JSON on stdout, and nothing else")
        _add_choice(added)
        if command in {_expire, _clear}:
            added.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
            added.add_argument("--yes", action="store_true", help="do not ask")
        if command is _clear:
            added.add_argument("--all", action="store_true", help="all recognitions of the store")
    return parser


def _add_choice(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("store", nargs="?", default="", help="s3://bucket or a folder; without it, the setting")
    add("--older-than", type=float, metavar="DAYS", help="written so many days ago")
    add("--engine", default="", metavar="ENGINE", help="by this engine: its name or a fingerprint")
    add("--document", default="", metavar="NAME", help="of this picture: a key below input/")
    add("--unused", action="store_true", help="that no document leads to any more")


def print_cached(console: Console, chosen: Sequence[Cached]) -> None:
    table = table_of("Recognition")
    table.add_column("Engine", overflow="fold")
    for heading in ("Size", "Days"):
        table.add_column(heading, justify="right")
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
    if cleared.receipts or cleared.leases or cleared.pages:
        left = f"{cleared.receipts:,} receipts that led nowhere, {cleared.leases:,} leases of runs that died, "
        left += f"{cleared.pages:,} pages of documents that nobody has finished"
        console.print(f"{left} {verb}", highlight=False)
