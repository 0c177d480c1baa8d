"""The command line of flows/redrive_flow.py: failed pictures, listed or sent on their way again."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TextIO

from flows.commands.uploads import Flow, Item, add_common_options, conduct, in_order
from inktally.errors import NotFound
from inktally.intake import redriving
from inktally.ports import Store
from inktally.text import printable
from tasks import wiring


def main(flow: Flow, argv: Sequence[str] | None = None) -> int:
    """Run `flow`, which reads pictures, on failed ones; without a key, list them."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.redrive_flow",
        description="Answer failed pictures anew; without a key, list them.",
    )
    parser.add_argument(
        "keys", nargs="*", metavar="failed/KEY", help="a failed picture, or the beginning of several keys"
    )
    add_common_options(parser)
    parser.set_defaults(to="", refresh=False)
    asked = parser.parse_args(argv)
    return conduct(flow, parser, asked, _items) if asked.keys else in_order(parser, partial(_list_failures, asked))


def _items(asked: argparse.Namespace) -> list[Item]:
    items = []
    for key in asked.keys:
        try:
            items += [Item(upload.key, upload=upload) for upload in redriving.put_back(_store(asked), key)]
        except NotFound as error:
            items.append(Item.failed(key, error))
    return items


def _store(asked: argparse.Namespace) -> Store:
    return wiring.store(asked.store or wiring.settings().store)


def _list_failures(asked: argparse.Namespace, stdout: TextIO) -> int:
    store, listed = _store(asked), 0
    for listed, failure in enumerate(redriving.failures(store), 1):  # noqa: B007 - counted as they come
        told = f"{failure.picture.modified}  {failure.problem.kind}: {failure.problem.message}"
        stdout.write(f"{printable(failure.picture.key)}\n    {printable(told)}\n")
    stdout.write(f"{listed} failed {'picture' if listed == 1 else 'pictures'} in {store.uri}\n")
    return 0
