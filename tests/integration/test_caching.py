"""Prefect's cache as Inktally configures it: the same picture is read once, and its receipt is plain JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx

from tests.support.machine import LONGEST_RUN, draw, eventually, new_machine
from tests.support.prefect_servers import PrefectServer, new_server

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
        needs = Needs(delivery=delivery, engine=engine)
        futures = [recognition.submit(store, needs, lambda: None, refresh=False) for _ in range(2)]
        return [future.result() for future in futures]

    print(json.dumps(read()))
"""


def test_two_processes_with_two_tasks_each_read_a_picture_once_and_keep_plain_json(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    prefect = new_server(tmp_path / "prefect")
    with prefect.running(), new_machine(tmp_path / "machine", PREFECT_API_URL=prefect.api) as machine:
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


def test_a_receipt_that_is_being_written_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    """A write to a folder is not atomic: a reader may find the file cut off."""
    (tmp_path / "prefect").mkdir()
    prefect = new_server(tmp_path / "prefect")
    with prefect.running(), new_machine(tmp_path / "machine", PREFECT_API_URL=prefect.api) as machine:
        machine.opened_store.put("input/page.png", draw(tmp_path / "page.png", "read me once"))
        program = [sys.executable, "-c", textwrap.dedent(RACE)]
        subprocess.run(program, env=machine.environment, stdout=subprocess.DEVNULL, check=True)
        results = machine.store / ".inktally" / "results"
        (record,) = (results / "keys").iterdir()
        receipt = (results / record.name).read_bytes()
        (results / record.name).write_bytes(receipt[: len(receipt) // 2])
        reader = subprocess.Popen(program, env=machine.environment, stdout=subprocess.PIPE, text=True)
        eventually(lambda: _is_waiting_to_retry(prefect))
        (results / record.name).write_bytes(receipt)
        answers = json.loads(reader.communicate(timeout=LONGEST_RUN)[0].splitlines()[-1])
    assert [answer["words"] for answer in answers] == [3, 3]


def _is_waiting_to_retry(prefect: PrefectServer) -> bool:
    asked = {"task_runs": {"state": {"name": {"any_": ["AwaitingRetry"]}}}}
    return bool(httpx.post(f"{prefect.api}/task_runs/filter", json=asked, timeout=30).raise_for_status().json())
