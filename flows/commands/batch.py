"""The command line of flows/batch_flow.py: a batch with its progress, or what it would do."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TextIO

from prefect import State
from rich.console import Console

from flows.batches.work import WINDOW
from flows.commands.console import console_of, print_plan, print_summary, shown_batch
from flows.commands.uploads import add_reading_options, in_order, options_of, prefect_for_commands
from inktally import plugins
from inktally.batch import rounds
from inktally.batch.place import Place
from inktally.batch.plan import Plan, Planner
from inktally.batch.summary import Summary
from inktally.delivery import Options, Upload
from inktally.errors import BadSettings, InktallyError, NotFound
from inktally.steps import deliveries, markers
from inktally.text import printable
from tasks import batch_steps, wiring
from tasks.ending import result

Flow = Callable[..., State[Any]]


def main(flow: Flow, argv: Sequence[str] | None = None) -> int:
    """Run the batch that is named; 0 all answered or found unreadable, 1 some were not answered, 2 wrong usage."""
    parser = _parser()
    asked = parser.parse_args(argv)

    def work(stdout: TextIO) -> int:
        options, place = options_of(asked), _place(asked)
        if asked.dry_run:
            with prefect_for_commands():
                return _show_plan(stdout, place, options, asked)
        with prefect_for_commands(), shown_batch(Console(stderr=True)):
            if asked.shards == 1:
                _warm_up(place, options)
            state = flow(asked.pictures, asked.store or "", options, asked.shards, asked.rate, return_state=True)
        return _show_end(stdout, state, asked)

    return in_order(parser, work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.batch_flow",
        description="Count the words of all pictures below a prefix or in a folder, in one Spark job. Pictures that "
        "have been answered are skipped; the same command goes on where one was stopped.",
        epilog="Settings (INKTALLY_...) are listed in the README. Exit status: 0 every picture was answered, or cannot "
        "be read; 1 some could not be answered now; 2 wrong usage.",
    )
    add = parser.add_argument
    add("pictures", metavar="s3://BUCKET/PREFIX/ | FOLDER", help="where the pictures lie; they are only read")
    add("--dry-run", action="store_true", help="say what would be done, and what it would cost")
    add("--shards", type=_positive(int), default=1, metavar="N", help="share the work among N runs on the work pool")
    add("--rate", type=_positive(float), default=0.0, metavar="N", help="begin at most N pictures a second")
    add("--refresh", action="store_true", help="recognise and answer again what is known and answered already")
    add_reading_options(parser)
    add("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.set_defaults(to="", after="")
    return parser


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return number

    return read


def _place(asked: argparse.Namespace) -> Place:
    try:
        return wiring.place(asked.pictures, asked.store or "")
    except NotFound as error:
        raise BadSettings(str(error)) from error


def _show_plan(stdout: TextIO, place: Place, options: Options, asked: argparse.Namespace) -> int:
    plan = _plan(place, options)
    if asked.json:
        stdout.write(plan.model_dump_json() + "\n")
    else:
        print_plan(console_of(stdout), plan)
    return 0


def _warm_up(place: Place, options: Options) -> None:
    """Let Tesseract and Spark begin to start while Prefect does, where the first picture has no answer yet."""
    settings, is_idle = wiring.settings(), True
    store = place.opened(settings)
    with suppress(InktallyError):  # which the run will tell
        first = next(place.pictures(store), None)
        is_idle = first is None or markers.is_answered(
            store, deliveries.look(store, Upload(key=first.key, store=store.uri))
        )
    if not is_idle:
        wiring.recogniser(options.engine or settings.engine).warm_up()
        wiring.counter_of_parts().warm_up()


def _plan(place: Place, options: Options) -> Plan:
    """What a run would do. A picture that cannot be looked at now is an error."""
    settings = wiring.settings()
    planner = Planner(settings.recognition_workers, _dollars_a_page(options.engine or settings.engine))
    store = place.opened(settings)
    place.refuse_names_of_others(store)
    counted, pictures = rounds.counted_round(store, place), place.pictures(store)
    while window := list(islice(pictures, WINDOW)):
        for looked in batch_steps.look_at.fn(store, window, options, "dry run" if options.refresh else ""):
            if isinstance(looked, Exception):
                raise looked
            planner.add(looked)
    return planner.plan().model_copy(update={"counted_before": counted.share.tally.handed_over if counted else 0})


def _dollars_a_page(engine: str) -> float:
    """At most: of auto, as if all pages were read by each of its engines."""
    settings = wiring.settings()
    is_paid = any(plugins.engine(each, settings).remote for each in plugins.chain(engine, settings))
    return settings.textract_price if is_paid else 0.0


def _show_end(stdout: TextIO, state: State[Any], asked: argparse.Namespace) -> int:
    summary = result(state)
    if not isinstance(summary, Summary):
        sys.stderr.write(f"The batch was stopped: {summary}\nThe same command goes on where it stopped.\n")
        return 1
    if asked.json:
        stdout.write(summary.model_dump_json() + "\n")
    elif not summary.tally.looked_at:
        stdout.write(f"There are no pictures in {printable(asked.pictures)}.\n")
    else:
        print_summary(console_of(stdout), summary)
    return int(summary.tally.failed + summary.tally.unanswered > 0)
