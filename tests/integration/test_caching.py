"""Prefect's cache as Inktally configures it: the same picture is read once, and its receipt is plain JSON."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.forks import Forks
from tests.support.machine import Machine, Run, draw, ended, new_machine
from tests.support.prefect_servers import PrefectServer

RACE = """
    import json, sys
    from prefect import flow
    from inktally.delivery import Upload
    from inktally.steps.deliveries import Needs, look
    from tasks import recognition, wiring

    @flow
    def read():
        store = wiring.store(wiring.settings().store)
        delivery = look(store, Upload(key="input/page.png", store=store.uri))
        engine = wiring.recogniser("tesseract").identify(["eng"])
        needs = Needs(delivery=delivery, engine=engine, identity=delivery.id)
        futures = [recognition.submit(store, needs, lambda: None, refresh=False) for _ in range(2)]
        return [future.result() for future in futures]

    print(json.dumps(read()))
"""


@contextmanager
def reading(folder: Path, prefect: PrefectServer, forks: Forks, sandbox: Mapping[str, str]) -> Iterator[Machine]:
    """A machine with one picture, whose command reads it twice at once."""
    with new_machine(folder / "machine", forks, PREFECT_API_URL=prefect.api, **sandbox) as machine:
        machine.opened_store.put("input/page.png", draw(folder / "page.png", "read me once"))
        machine.command = (sys.executable, "-c", textwrap.dedent(RACE))
        yield machine


def receipts_of(run: Run) -> list[dict[str, Any]]:
    assert run.status == 0, run.stderr
    receipts: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    return receipts


def test_two_processes_with_two_tasks_each_read_a_picture_once_and_keep_plain_json(
    prefect: PrefectServer, forks: Forks, sandbox: Mapping[str, str], tmp_path: Path
) -> None:
    with reading(tmp_path, prefect, forks, sandbox) as machine:
        machine.slow_down_tesseract(2)
        racers = [machine.start() for _ in range(2)]
        answers = [receipt for racer in racers for receipt in receipts_of(ended(racer))]
        assert machine.recognitions() == 1
        assert len({(answer["content"], answer["artefact"], answer["words"]) for answer in answers}) == 1
        assert [answer["made_for"] != "" for answer in answers].count(True) == 1
        results = machine.store / ".inktally" / "results"
        (record,) = (results / "keys").iterdir()
        assert json.loads((results / record.name).read_bytes())["words"] == answers[0]["words"] == 3
        assert json.loads(record.read_bytes())["serializer"]["type"] == "json"


@pytest.fixture(scope="module")
def has_read(
    prefect: PrefectServer, forks: Forks, sandbox: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A machine that has read its picture."""
    with reading(tmp_path_factory.mktemp("read"), prefect, forks, sandbox) as machine:
        receipts_of(machine.run())
        yield machine


@pytest.mark.parametrize("left", ["half", "overlaid", "gone"])
def test_a_receipt_that_cannot_be_read_is_made_again_without_reading_the_picture(left: str, has_read: Machine) -> None:
    """A write to a folder is not atomic: who reads it may find it cut off, or mixed with another, or cleared."""
    results = has_read.store / ".inktally" / "results"
    (record,) = (results / "keys").iterdir()
    receipt = results / record.name
    written = receipt.read_bytes()
    receipt.write_bytes({"half": written[: len(written) // 2], "overlaid": written + b'"}', "gone": b""}[left])
    if left == "gone":
        receipt.unlink()
    assert [answer["words"] for answer in receipts_of(has_read.run())] == [3, 3]
    assert json.loads(receipt.read_bytes())["words"] == 3
    assert has_read.recognitions() == 1
