"""Prefect's cache as Inktally configures it: the same picture is read once, and its receipt is plain JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.machine import LONGEST_RUN, draw, new_machine
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


def test_two_processes_with_two_tasks_each_read_a_picture_once_and_keep_plain_json(
    prefect: PrefectServer, tmp_path: Path
) -> None:
    with new_machine(tmp_path / "machine", PREFECT_API_URL=prefect.api) as machine:
        machine.slow_down_tesseract(2)
        machine.opened_store.put("input/page.png", draw(tmp_path / "page.png", "read me once"))
        program = [sys.executable, "-c", textwrap.dedent(RACE)]
        racers = [
            subprocess.Popen(program, env=machine.environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        answers = [
            receipt
            for racer in racers
            for receipt in json.loads(racer.communicate(timeout=LONGEST_RUN)[0].splitlines()[-1])
        ]
        assert machine.recognitions() == 1
        assert len({(answer["content"], answer["artefact"], answer["words"]) for answer in answers}) == 1
        assert [answer["made_for"] != "" for answer in answers].count(True) == 1
        results = machine.store / ".inktally" / "results"
        (record,) = (results / "keys").iterdir()
        assert json.loads((results / record.name).read_bytes())["words"] == answers[0]["words"] == 3
        assert json.loads(record.read_bytes())["serializer"]["type"] == "json"


@pytest.mark.parametrize("left", ["half", "overlaid", "gone"])
def test_a_receipt_that_cannot_be_read_is_made_again_without_reading_the_picture(
    left: str, prefect: PrefectServer, tmp_path: Path
) -> None:
    """A write to a folder is not atomic: who reads it may find it cut off, or mixed with another, or cleared."""
    with new_machine(tmp_path / "machine", PREFECT_API_URL=prefect.api) as machine:
        machine.opened_store.put("input/page.png", draw(tmp_path / "page.png", "read me once"))
        program = [sys.executable, "-c", textwrap.dedent(RACE)]
        subprocess.run(program, env=machine.environment, stdout=subprocess.DEVNULL, check=True)
        results = machine.store / ".inktally" / "results"
        (record,) = (results / "keys").iterdir()
        receipt = results / record.name
        written = receipt.read_bytes()
        receipt.write_bytes({"half": written[: len(written) // 2], "overlaid": written + b'"}', "gone": b""}[left])
        if left == "gone":
            receipt.unlink()
        again = subprocess.run(program, env=machine.environment, capture_output=True, text=True, check=True)
        assert [answer["words"] for answer in json.loads(again.stdout.splitlines()[-1])] == [3, 3]
        assert json.loads(receipt.read_bytes())["words"] == 3
        assert machine.recognitions() == 1
