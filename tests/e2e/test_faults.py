"""What goes wrong at users' and attackers' hands: kills, interrupts, poison, refusals, things that are not there."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tasks.caching import PLAIN_JSON
from tests.support.machine import OWN_CHILDREN, Machine, draw, words_of
from tests.support.prefect_servers import PrefectServer
from tests.support.proxy import Fate, proxied
from tests.support.servers import free_port
from tests.support.waiting import eventually

ANNA = "anna@example.org"


@pytest.mark.long
class TestKilled:
    """kill -9 leaves nobody the time to tidy up."""

    def test_in_the_middle_of_recognition_nothing_stays_and_the_same_command_completes(
        self, connected: Machine
    ) -> None:
        connected.environment |= OWN_CHILDREN
        connected.slow_down_tesseract(60)
        page = draw(connected.folder / "page.png", "killed once")
        killed = connected.start(page, "--to", ANNA, INKTALLY_LEASE_SECONDS="2", INKTALLY_SPARK_REMOTE="")
        eventually(lambda: {"tesseract", "java"} <= connected.programs())
        killed.kill()
        eventually(lambda: not connected.processes(), 10)
        connected.slow_down_tesseract(0)
        run = connected.run(page, "--to", ANNA, "--json", INKTALLY_LEASE_SECONDS="2")
        assert (run.status, run.only["cached"], run.only["notified"]) == (0, False, ANNA)
        assert words_of(run.only["outputs"]["word_counts"]) == {"killed": 1, "once": 1}
        assert len(connected.mails()) == 1
        assert connected.scratch_folders() == []
        assert list((connected.store / "locks").glob("*")) == []

    def test_after_the_mail_has_gone_it_is_not_sent_again(self, connected: Machine) -> None:
        page = connected.store / "input" / "page.png"
        draw(page, "told once")
        killed = connected.start(page, "--to", ANNA, "--after", "archive", INKTALLY_LEASE_SECONDS="2")
        eventually(lambda: connected.markers("mailed"), every=0.001)
        killed.kill()
        killed.wait()
        assert connected.markers("answered") == [], "it was killed too late to show anything"
        run = connected.run(page, "--to", ANNA, "--after", "archive", "--json", INKTALLY_LEASE_SECONDS="2")
        assert (run.status, run.only["notified"]) == (0, ANNA)
        assert (connected.store / "archive" / "page.png").is_file()
        assert not page.exists()
        assert (len(connected.mails()), connected.recognitions()) == (1, 1)


def test_a_picture_still_at_work_after_the_deadline_gets_a_mail_that_says_so(connected: Machine) -> None:
    connected.slow_down_tesseract(4)
    page = draw(connected.folder / "page.png", "slow words")
    run = connected.run(page, "--to", ANNA, "--json", INKTALLY_DEADLINE_SECONDS="1")
    assert (run.status, run.only["notified"]) == (0, ANNA)
    assert [mail["Subject"] for mail in connected.mails()] == ["Still reading page.png", "2 words in page.png"]


def test_so_does_one_whose_turn_has_not_come(machine: Machine) -> None:
    page = draw(machine.folder / "page.png", "many before it")
    machine.opened_store.put("input/page.png", page, metadata={"email": ANNA})
    machine.command = (sys.executable, "-c", TELL)
    assert machine.run().status == 0
    assert [mail["Subject"] for mail in machine.mails()] == ["Still reading page.png"]


TELL = """
from flows.uploads.picture import Picture
from inktally.delivery import Options, Upload
Picture.of(Upload(key="input/page.png"), Options()).tell_it_takes_longer()
"""


def test_an_answer_of_prefect_that_is_lost_costs_no_result(connected: Machine, prefect_server: str) -> None:
    said: list[str] = []

    def lose_the_first_of_two(request: BaseHTTPRequestHandler) -> Fate | None:
        if not request.path.endswith("/set_state"):
            return None
        said.append(request.path)
        return Fate.LOST if len(said) % 2 else None

    page = draw(connected.folder / "page.png", "kept words")
    with proxied(prefect_server, lose_the_first_of_two) as address:
        run = connected.run(page, "--json", PREFECT_API_URL=f"{address}/api")
    assert len(said) >= 4, "begun and ended, and each is said twice"
    assert (run.status, run.only["words"]) == (0, 2), run.stderr


class TestCacheRecordsOfOthers:
    """Whoever can write to the result storage writes what Prefect would obey."""

    def test_they_are_neither_run_nor_believed_but_replaced(self, connected: Machine) -> None:
        folder, trap = connected.folder / "pictures", connected.folder / "trapped"
        texts = ["gone words", "pickled words", "called words", "torn words", "stolen words", "listed words"]
        for text in texts:
            draw(folder / f"{text.split()[0]}.png", text)
        first = {Path(each["upload"]).stem: each for each in connected.run(folder, "--json").objects}
        results = connected.store / ".inktally" / "results"
        by_word = {_first_word(connected.store / _artefact(file)): file for file in results.iterdir() if file.is_file()}
        keys = {word: results / "keys" / file.name for word, file in by_word.items()}
        genuine = {word: json.loads(file.read_text()) for word, file in by_word.items()}

        (connected.store / _artefact(by_word["gone"])).unlink()
        caller = {"type": "json", "jsonlib": "json", "object_decoder": "os.system", "object_encoder": None}
        pickled = _pickle_that_touches(trap)
        _poison(keys["pickled"], serializer={"type": "pickle"})
        by_word["pickled"].write_text(pickled)
        _poison(keys["called"], serializer=caller)
        old_form = {"data": pickled, "serializer": {"type": "pickle"}}
        by_word["called"].write_text(json.dumps({**genuine["called"], **old_form}))
        by_word["stolen"].write_text(json.dumps(genuine["stolen"] | {"artefact": genuine["torn"]["artefact"]}))
        keys["torn"].write_bytes(keys["torn"].read_bytes()[:50])
        _poison(keys["listed"], **old_form)
        by_word["listed"].write_bytes(b"[]")

        connected.forget_starts()
        run = connected.run(folder, "--json")
        again = {Path(each["upload"]).stem: each for each in run.objects}
        assert (run.status, trap.exists()) == (0, False), run.stderr
        assert connected.recognitions() == 1, "only the recognition that has gone is made again"
        assert {name: each["cached"] for name, each in again.items() if not each["cached"]} == {"gone": False}
        for text in texts:
            name = text.split()[0]
            assert words_of(again[name]["outputs"]["word_counts"]) == {name: 1, "words": 1}
            assert again[name]["outputs"] == first[name]["outputs"]
            assert json.loads(keys[name].read_text())["serializer"] == PLAIN_JSON.model_dump()
            assert _artefact(by_word[name]) == genuine[name]["artefact"]


class TestRecipients:
    """Addresses come from strangers."""

    def test_one_that_is_refused_costs_nobody_the_results(self, connected: Machine, prefect: PrefectServer) -> None:
        store, unlikely = connected.opened_store, "no-such-address-4711"
        fine, broken = draw(connected.folder / "fine.png", "good words").read_bytes(), b"no picture"
        for name, content in {"fine.png": fine, "broken.png": broken}.items():
            store.put(f"input/{name}", content, metadata={"email": unlikely})
        run = connected.run(connected.store / "input", "--json")
        rejected, answered = run.objects
        assert (run.status, answered["error"]["kind"], answered["notified"]) == (1, "RecipientRefused", None)
        assert words_of(answered["outputs"]["word_counts"]) == {"good": 1, "words": 1}
        assert (rejected["error"]["kind"], rejected["notified"]) == ("NotAPicture", None)
        assert (connected.store / "failed" / "broken.png").read_bytes() == broken
        assert connected.mails() == []
        assert prefect.holders_of(unlikely) == []

    def test_a_mail_server_that_says_later_is_asked_again(self, connected: Machine) -> None:
        page = draw(connected.folder / "page.png", "by post")
        with _mail_server(refusals=1) as office:
            run = connected.run(
                page, "--to", ANNA, "--json", INKTALLY_NOTIFIER="smtp", INKTALLY_SMTP_PORT=str(office.port)
            )
        assert (run.status, run.only["notified"]) == (0, ANNA)
        assert (office.refused, [envelope.rcpt_tos for envelope in office.taken]) == (1, [[ANNA]])


def test_a_prefect_server_that_is_not_there_is_said_of_every_picture(connected: Machine) -> None:
    page = draw(connected.folder / "page.png", "page")
    run = connected.run(page, page.with_name("none.png"), "--json", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (run.status, [each["error"]["kind"] for each in run.objects]) == (1, ["RuntimeError", "NotFound"])
    assert "http://127.0.0.1:9/api" in run.objects[0]["error"]["message"]
    assert "Traceback" not in run.stderr


class _Office:
    """A post office that refuses some mails for now, then takes all."""

    def __init__(self, refusals: int) -> None:
        self.port = free_port()
        self.refused = 0
        self.taken: list[Envelope] = []
        self._refusals = refusals

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(0)
        if self.refused < self._refusals:
            self.refused += 1
            return "451 4.7.1 Try again later"
        self.taken.append(envelope)
        return "250 OK"


@contextmanager
def _mail_server(refusals: int) -> Iterator[_Office]:
    office = _Office(refusals)
    controller = Controller(office, hostname="127.0.0.1", port=office.port)
    controller.start()
    try:
        yield office
    finally:
        controller.stop()


class _Touch:
    """Unpickling it runs a command."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def _pickle_that_touches(path: Path) -> str:
    return base64.encodebytes(pickle.dumps(_Touch(path))).decode()


def _poison(record: Path, **fields: Any) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **fields}))


def _artefact(record: Path) -> str:
    return str(json.loads(record.read_text())["artefact"])


def _first_word(artefact: Path) -> str:
    return str(json.loads(artefact.read_text())["words"][0]["text"])
