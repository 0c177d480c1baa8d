"""Look after the cache of recognitions: list it, let it age, clear it.

As a command: python -m flows.cache_flow list|expire|clear (see --help). As a deployment: cache-flow/weekly.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from prefect import State, flow
from prefect.states import Completed
from rich.console import Console

from flows.commands.cache_tables import print_cached, print_cleared
from flows.commands.console import console_of
from inktally.cache.clearing import DAY_SECONDS, Cleared, Clearing
from inktally.cache.recognitions import Cached, Choice, Recognitions
from inktally.errors import BadSettings, InktallyError
from inktally.keys import INPUT
from tasks import wiring
from tasks.receipts import StoredReceipts

EXPIRE_DAYS = 90.0


@flow(name="cache-flow", flow_run_name="expire", persist_result=False)
def cache_flow(store: str = "", days: float = EXPIRE_DAYS, engine: str = "", *, dry_run: bool = False) -> State[Any]:
    """Remove recognitions of a certain age, and what runs that died have left behind.

    Args:
        store: s3://bucket or a folder; empty: the store of the worker's settings.
        days: How old a recognition must be.
        engine: Only those by this engine, a name or a fingerprint.
        dry_run: Only tell what would be removed.
    """
    choice = Choice(age=days * DAY_SECONDS, engine=engine)
    cleared = _Work(store, dry_run=dry_run).expire(choice)
    return Completed(message=f"{cleared.recognitions} recognitions, {cleared.size:,} bytes", data=cleared)


class _Work:
    """What the command and the flow do in one store."""

    def __init__(self, store: str, *, dry_run: bool = False) -> None:
        settings, opened = wiring.settings(), wiring.store(store or wiring.settings().store)
        receipts = StoredReceipts(opened.uri)
        self._recognitions = Recognitions(opened, receipts, settings.scratch)
        self._clearing = Clearing(opened, receipts, settings, dry_run=dry_run)

    def chosen(self, choice: Choice) -> list[Cached]:
        return sorted(self._recognitions.chosen(choice), key=lambda cached: -cached.age)

    def clear(self, chosen: Sequence[Cached]) -> Cleared:
        return self._clearing.clear(self._recognitions, chosen)

    def expire(self, choice: Choice) -> Cleared:
        cleared, tidied = self.clear(self.chosen(choice)), self._clearing.tidy(self._recognitions)
        return cleared.model_copy(update=tidied.model_dump(include={"receipts", "leases"}))


def main(argv: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(argv)
    logging.getLogger("prefect").setLevel(logging.WARNING)
    console = console_of(sys.stdout)
    try:
        command: Callable[[argparse.Namespace, Console], int] = asked.command
        return command(asked, console)
    except InktallyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _list(asked: argparse.Namespace, console: Console) -> int:
    chosen = _Work(asked.store).chosen(_choice(asked))
    if asked.json:
        sys.stdout.writelines(cached.model_dump_json() + "\n" for cached in chosen)
    else:
        print_cached(console, chosen)
    return 0


def _clear(asked: argparse.Namespace, console: Console) -> int:
    choice, work = _choice(asked), _Work(asked.store, dry_run=asked.dry_run)
    if choice == Choice() and not asked.all:
        raise BadSettings("Say which: --older-than, --engine, --document, --unused, or --all.")
    chosen = work.chosen(choice)
    if not asked.json:
        print_cached(console, chosen)
    return _told(asked, console, lambda: work.clear(chosen)) if _confirmed(asked, len(chosen)) else 1


def _expire(asked: argparse.Namespace, console: Console) -> int:
    if asked.older_than is None:
        asked.older_than = EXPIRE_DAYS
    choice, work = _choice(asked), _Work(asked.store, dry_run=asked.dry_run)
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


if __name__ == "__main__":
    sys.exit(main())
