"""No key of a stranger begins a line of a log, moves the cursor of a terminal, or turns the text around it."""

from __future__ import annotations

import argparse
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from prefect.states import Completed

from flows.commands.console import console_of, print_outcomes
from flows.ocr_flow import _run_name
from inktally.delivery import Outcome, Problem, Upload
from inktally.errors import NotFound
from inktally.intake.sweeping import Sweep
from inktally.logs import escape_records
from inktally.settings import Settings
from inktally.stores.files import FilesStore
from inktally.text import printable
from tasks.ui import markdown
from web.command import run_command

FORGED = "a\n2026-11-30 12:00:00,000 INFO prefect.flow_runs: all is well"
HOSTILE = [
    *(
        f"{FORGED}.png",
        "a\rb.png",
        "\x1b[2J\x1b[1;31mred.png",
        "a\x9b31mb.png",
        "\u202egnp.exe",
        "a\u2028b\u2029c\x85d.png",
    ),
    *("\x07\x08\x00.png", "\u2066hidden\u2069.png", "\u200b\ufeff.png"),
]
BAD = re.compile("[\0-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a handler writes of a process that escapes."""
    factory, said = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    escape_records()
    yield said
    logging.getLogger().removeHandler(handler)
    logging.setLogRecordFactory(factory)


def lines(log: io.StringIO) -> list[str]:
    assert not BAD.search(log.getvalue().replace("\n", ""))
    return log.getvalue().splitlines()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_message_stays_on_its_line_whoever_logs_it(log: io.StringIO, name: str) -> None:
    for logger in ("inktally.intake", "prefect.engine", "uvicorn.error"):
        logging.getLogger(logger).error("%s cannot be mailed now: %s", f"input/{name}", NotFound(name))
        logging.getLogger(logger).error(f"{name} as it is")  # noqa: G004 - as libraries do it
    assert len(lines(log)) >= 4
    assert all(re.match(r"ERROR [\w.]+: ", line) for line in lines(log))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_traceback_forges_no_line(log: io.StringIO, name: str) -> None:
    try:
        int(name)
    except ValueError as error:
        error.args = (name,)
        logging.getLogger("inktally.intake").exception("%s failed", name)
    first, *rest = lines(log)
    assert first.startswith("ERROR inktally.intake: ")
    assert all(line.startswith("  ") for line in rest)
    assert any("ValueError" in line for line in rest)


def test_a_message_that_does_not_fit_its_values_is_no_error_of_ours(log: io.StringIO) -> None:
    logging.raiseExceptions = False
    logging.getLogger("inktally").warning("%s and %s", "one alone")  # noqa: PLE1206 - as libraries err
    logging.raiseExceptions = True
    logging.getLogger("inktally").warning("the next")
    assert lines(log)[-1] == "WARNING inktally: the next"


@given(st.text())
def test_what_is_printable_is_one_line_without_controls_and_says_as_much(text: str) -> None:
    shown = printable(text)
    assert not BAD.search(shown)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    assert text.isprintable() is False or shown == text


@pytest.mark.parametrize("name", HOSTILE)
def test_errors_runs_artifacts_and_tables_show_keys_escaped(name: str) -> None:
    table = io.StringIO()
    problem = Problem(kind="NotFound", message=name)
    print_outcomes(console_of(table), [name], [Outcome(upload=name, error=problem)])
    shown = [str(NotFound(name)), Upload(key=f"input/{name}").label, markdown(name), *table.getvalue().split("\n")]
    assert not [text for text in shown if BAD.search(text)]


def test_a_run_is_named_after_an_escaped_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.runtime import flow_run

    monkeypatch.setattr(flow_run, "parameters", {"uploads": [{"key": f"input/{HOSTILE[0]}"}]}, raising=False)
    assert not BAD.search(_run_name())


def test_the_last_state_of_a_run_says_keys_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.runtime import flow_run

    from tasks.ending import ended

    monkeypatch.setattr(flow_run, "id", "0" * 32, raising=False)
    assert not BAD.search(ended(Completed(message=HOSTILE[0])).message or "")


def test_every_command_of_the_web_escapes_its_logs(log: io.StringIO, tmp_path: Path) -> None:
    logging.setLogRecordFactory(logging.LogRecord)
    store = FilesStore(tmp_path)
    store.put(f"input/{HOSTILE[0]}", b"")

    def work(settings: Settings, _asked: argparse.Namespace) -> None:
        for late in Sweep(store, settings.model_copy(update={"sweep_grace_seconds": 0.0})).unanswered():
            logging.getLogger("web").error("found %s", late.upload.key)

    assert run_command(argparse.ArgumentParser(), [], work) == 0
    assert len([line for line in lines(log) if "found" in line]) == 1
