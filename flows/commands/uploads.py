"""The command line of the flows: arguments to uploads, a run, and its outcomes as a table or as JSON."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, get_args
from uuid import uuid4

from prefect import State
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings
from rich.console import Console

from flows.commands.api_server import api_server
from flows.commands.console import console_of, print_outcomes, shown_progress
from flows.uploads.picture import Picture
from inktally import outputs, plugins
from inktally.delivery import After, Options, Outcome, Problem, Upload
from inktally.document import TextLayer
from inktally.errors import BadSettings, InktallyError, NotFound, RecipientRefused
from inktally.imaging.decoding.formats import is_picture
from inktally.intake.local import bring, fetch
from inktally.intake.named import Named, input_keys, named_pictures
from inktally.mail.message import valid_address
from inktally.ports import Store
from inktally.steps import announcing, deliveries, markers
from tasks import wiring
from tasks.ending import result

Flow = Callable[..., State[Any]]

INTERRUPTED = 130  # as shells have it: 128 and the number of the signal


@dataclass
class Item:
    """A picture that was named, the upload it became, and how it ended."""

    label: str
    upload: Upload | None = None
    outcome: Outcome | None = None

    @classmethod
    def failed(cls, label: str, error: BaseException) -> Item:
        return cls(label, outcome=Outcome(upload=label, error=Problem.of(error)))


def main(flow: Flow, argv: Sequence[str] | None = None) -> int:
    """Run the flow on the pictures that are named; 0 all done, 1 some picture failed, 2 wrong usage."""
    parser = _parser()
    return conduct(flow, parser, parser.parse_args(argv), _items)


def conduct(
    flow: Flow,
    parser: argparse.ArgumentParser,
    asked: argparse.Namespace,
    find_items: Callable[[argparse.Namespace], list[Item]],
) -> int:
    """Run the flow on the items, show how each ended, and return the exit status."""

    def work(stdout: TextIO) -> int:
        options = options_of(asked)
        with prefect_for_commands():
            items = find_items(asked)
            _run(flow, items, options)
        outcomes = [item.outcome for item in items if item.outcome is not None]
        if asked.json:
            stdout.writelines(outcome.model_dump_json() + "\n" for outcome in outcomes)
        else:
            _print_table(stdout, items, outcomes)
        return int(any(outcome.error for outcome in outcomes))

    return in_order(parser, work)


def in_order(parser: argparse.ArgumentParser, work: Callable[[TextIO], int]) -> int:
    """Do a command's work, which gets a stdout of its own; the exit status, also of wrong usage and of Ctrl-C."""
    with _stdout_kept_clean() as stdout:
        try:
            return work(stdout)
        except BadSettings as error:
            parser.print_usage(sys.stderr)
            sys.stderr.write(f"{parser.prog}: error: {error}\n")
            return error.exit_code
        except InktallyError as error:
            sys.stderr.write(f"{parser.prog}: {error}\n")
            return error.exit_code
        except KeyboardInterrupt:
            sys.stderr.write("Interrupted. The same command goes on where this one stopped.\n")
            return INTERRUPTED


@contextmanager
def prefect_for_commands() -> Iterator[None]:
    """Within the block flows can be run, and leave the console to ourselves."""
    _quieten_prefect()
    with api_server(), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.ocr_flow",
        description="Count the words on pictures, and tell their uploaders.",
        epilog="Settings (INKTALLY_...) are listed in the README. Exit status: 0 all done, 1 some picture failed, "
        "2 wrong usage.",
    )
    add = parser.add_argument
    add("pictures", nargs="+", metavar="PICTURE", help="a file, a folder, s3://bucket/key, or s3://bucket/prefix/")
    add("--to", default="", metavar="ADDRESS", help="mail the counts to this address, else to the object's `email`")
    add("--refresh", action="store_true", help="recognise again what is known already")
    add_common_options(parser)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that every command about single pictures has."""
    add_reading_options(parser)
    kept = "what becomes of the store's copy; a local original is never touched"
    parser.add_argument("--after", default="", choices=get_args(After), help=kept)
    parser.add_argument("--json", action="store_true", help="one JSON object a picture on stdout, and nothing else")


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how pictures are read, and where results go."""
    add = parser.add_argument
    languages = "languages as Tesseract names them, joined by + (eng, eng+deu), or auto"
    add("--language", default="", metavar="LANG", help=languages)
    add("--engine", default="", choices=plugins.engines(), help="recognition engine")
    add("--store", metavar="STORE", help="where pictures and results live: a folder, or s3://bucket")
    add("--min-confidence", type=float, metavar="N", help="do not count words recognised less surely (0 to 100)")
    add("--body", action="store_true", help="do not count headers, footers and page numbers")
    add(
        "--text-layer",
        default="",
        choices=get_args(TextLayer),
        help="count a PDF's own text as far as its pages show it (check), as it is (trust), or not at all (ignore)",
    )
    add(
        "--outputs",
        default="",
        metavar="NAMES",
        help=f"what is written, separated by commas: {', '.join(outputs.NAMES)}",
    )


def options_of(asked: argparse.Namespace) -> Options:
    """Raises `BadSettings`."""
    try:
        if asked.to:
            valid_address(asked.to)
        wiring.recogniser(asked.engine or wiring.settings().engine)
        return Options(
            language=asked.language,
            engine=asked.engine,
            after=asked.after,
            min_confidence=asked.min_confidence,
            body_only=asked.body,
            text_layer=asked.text_layer,
            outputs=",".join(outputs.chosen(asked.outputs)) if asked.outputs else "",
            refresh=asked.refresh,
            wait=wiring.settings().deadline_seconds,
        )
    except RecipientRefused as error:
        raise BadSettings(f"--to: {error}") from error
    except ValueError as error:
        raise BadSettings("--min-confidence goes from 0 to 100.") from error


@contextmanager
def _stdout_kept_clean() -> Iterator[TextIO]:
    """The real stdout; all that anybody else writes there, the JVM included, goes to stderr."""
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with suppress(BrokenPipeError), ours:  # who reads us may have had enough
        yield ours


def _quieten_prefect() -> None:
    """Leave the console to ourselves, but for warnings; the API still gets the whole log."""
    for logger in ("", "prefect", "prefect.flow_runs", "prefect.task_runs"):
        for handler in logging.getLogger(logger).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.WARNING)
                # a picture's failure is told once, by ourselves
                handler.addFilter(lambda record: record.name != "prefect.task_runs")


def _items(asked: argparse.Namespace) -> list[Item]:
    """The pictures that are named, each once, and brought into its store if it does not stand there already."""
    store = Path(wiring.store(asked.store or wiring.settings().store).uri)
    named = [each for picture in named_pictures(asked.pictures) for each in _listed(picture)]
    pictures = [picture for picture in dict.fromkeys(named) if not _is_found_in_store(picture, store)]
    keys = input_keys(pictures)
    return [_item(picture, keys.get(picture, ""), asked) for picture in pictures]


def _is_found_in_store(picture: Named, store: Path) -> bool:
    """Whether it is only there because the store, with our own copies, lies in a folder that was named."""
    path = picture.path
    return bool(path and path.is_relative_to(store) and not path.parents[picture.folders].is_relative_to(store))


def _listed(picture: Named) -> list[Named]:
    """The pictures below s3://bucket/prefix/; others as they are."""
    if not picture.store or (picture.key and not picture.key.endswith("/")):
        return [picture]
    try:
        found = sorted(entry.key for entry in wiring.store(picture.store).list(picture.key))
    except InktallyError as error:
        return [Named(picture.label, error=error)]
    pictures = [each for key in found if is_picture(key) for each in named_pictures([f"{picture.store}/{key}"])]
    return pictures or [Named(picture.label, error=NotFound(f"There are no pictures below {picture.label}."))]


def _item(picture: Named, key: str, asked: argparse.Namespace) -> Item:
    if picture.error:
        return Item.failed(picture.label, picture.error)
    try:
        return Item(picture.label, upload=_upload(picture, key, asked))
    except InktallyError as error:
        return Item.failed(picture.label, error)


def _upload(picture: Named, key: str, asked: argparse.Namespace) -> Upload:
    settings = wiring.settings()
    chosen = asked.store or (settings.store if picture.path or wiring.store_is_chosen() else picture.store)
    store = wiring.store(chosen)
    if picture.path is not None:
        if not picture.path.is_relative_to(store.uri):
            return bring(store, picture.path, key, settings, email=asked.to)
        return _standing(store, picture.path.relative_to(store.uri).as_posix(), asked)
    if picture.store != store.uri:
        return fetch(wiring.store(picture.store), picture.key, store, key, email=asked.to, settings=settings)
    return _standing(store, picture.key, asked)


def _standing(store: Store, key: str, asked: argparse.Namespace) -> Upload:
    """A picture that stands in the store already: a new attempt when it has been answered before."""
    upload = Upload(key=key, store=store.uri)
    delivery = deliveries.look(store, upload)
    if asked.refresh or markers.outcome_of(store, delivery):
        upload = upload.model_copy(update={"attempt": uuid4().hex})
    if asked.to:
        announcing.set_recipient(store, deliveries.look(store, upload), asked.to)
    return upload


def _run(flow: Flow, items: list[Item], options: Options) -> None:
    at_work = [item for item in items if item.upload is not None]
    if not at_work:
        return
    console = Console(stderr=True)
    with shown_progress(console, len(at_work)):
        Picture.prepare([item.upload for item in at_work if item.upload], options)
        ended = _outcomes_or_error(flow, [item.upload for item in at_work if item.upload], options)
    for number, item in enumerate(at_work):
        item.outcome = ended[number] if isinstance(ended, list) else Item.failed(item.label, ended).outcome


def _outcomes_or_error(flow: Flow, uploads: list[Upload], options: Options) -> list[Outcome] | BaseException:
    """How the uploads ended, whatever the run's state; or why there was no run."""
    try:
        state = flow(uploads, options, return_state=True)
    except Exception as error:  # noqa: BLE001 - Prefect's API may be down in many ways
        server = PREFECT_API_URL.value() or f"in {PREFECT_HOME.value()} (PREFECT_API_URL names no other)"
        return RuntimeError(f"Prefect cannot run this: {str(error).rstrip('.')}. Look at the server {server}.")
    given: list[Outcome] | BaseException = result(state)
    return given


def _print_table(stdout: TextIO, items: list[Item], outcomes: list[Outcome]) -> None:
    console = console_of(stdout)
    print_outcomes(console, [item.label for item in items], outcomes)
    for store in dict.fromkeys(item.upload.store for item in items if item.upload):
        console.print(f"Results: {store}/output", soft_wrap=True, highlight=False)
    if any(outcome.notified for outcome in outcomes) and wiring.settings().notifier == "folder":
        console.print(f"Mails: {Path(wiring.settings().mail_folder).absolute()}", soft_wrap=True, highlight=False)
