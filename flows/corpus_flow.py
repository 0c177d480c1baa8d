"""Keep the word counts over all documents of a store, and report them.

As a command: python -m flows.corpus_flow [STORE] (see --help). As a deployment: corpus-flow/nightly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, TextIO, get_args

from prefect import State, flow, get_run_logger
from prefect.states import Completed, Failed

from flows.commands.console import console_of
from flows.commands.corpus_tables import print_report
from flows.commands.uploads import in_order, prefect_for_commands
from inktally.corpus import reconciling
from inktally.corpus.figures import By
from inktally.errors import BadSettings, InktallyError
from inktally.keys import INPUT
from tasks import corpus_steps, wiring
from tasks.ending import ended, result

TOP = 20


@flow(name="corpus-flow", flow_run_name="corpus", persist_result=False)
def corpus_flow(
    store: str = "", by: By | None = None, top: int = TOP, document: str = "", *, recount: bool = False
) -> State[Any]:
    """Bring the word counts over all documents up to date, and report them.

    Args:
        store: s3://bucket or a folder; empty: the store of the worker's settings.
        by: Also report by day or by prefix (the first folder of the documents' names).
        top: How many words to report.
        document: Also report what marks this document, by TF-IDF; a name is a key below input/.
        recount: Read all documents anew, and put right what is not as they say.
    """
    try:
        opened = wiring.store(store or wiring.settings().store).uri
        changes = corpus_steps.compare(opened, recount=recount)
        told = corpus_steps.report(opened, top=top, by=by, document=document.removeprefix(INPUT))
    except InktallyError as error:
        return ended(Failed(message=str(error), data=error))
    told = told.model_copy(update={"changes": changes})
    corpus_steps.show(told, return_state=True)
    message = f"{told.documents:,} documents, {told.tokens:,} words, {told.distinct:,} distinct"
    if told.unreadable:
        get_run_logger().warning("%d documents cannot be read: %s", told.unreadable, changes.unreadable)
    return ended(Completed(message=message, data=told))


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    asked = parser.parse_args(argv)
    return in_order(parser, lambda stdout: _told(asked, stdout))


def _told(asked: argparse.Namespace, stdout: TextIO) -> int:
    try:
        _move(asked)
        with prefect_for_commands():
            arguments = (asked.store, asked.by, asked.top, asked.document)
            state = corpus_flow(*arguments, recount=asked.recount, return_state=True)
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
    parser = argparse.ArgumentParser(prog="python -m flows.corpus_flow", description=corpus_flow.description)
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


if __name__ == "__main__":
    sys.exit(main())
