"""Recognitions cached by a real Prefect are listed, cleared, and made anew; paid pages survive kills."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import samples
from flows.commands import cache
from inktally.paid_pages import Ledger
from tests.support.forks import Forks
from tests.support.prefect_servers import PrefectServer

PROJECT = Path(__file__).parents[2]
KILLS = 5

READ = """
    import json, sys
    from prefect import flow
    from flows.commands.api_server import api_server
    from inktally.delivery import Upload
    from inktally.steps import deliveries
    from inktally.steps.deliveries import Needs
    from tasks import caching, recognition, wiring

    @flow
    def read(delivery, engine):
        needs = Needs(delivery=delivery, engine=engine, identity=delivery.id)
        store = wiring.store(delivery.upload.store)
        return recognition.submit(store, needs, lambda: None, refresh=False).result()

    if __name__ == "__main__":
        uri = wiring.store(sys.argv[1]).uri
        delivery = deliveries.look(wiring.store(uri), Upload(key="input/page.png", store=uri))
        engine = wiring.recogniser("tesseract").identify(["eng"])
        def cached():
            try:
                return caching.cached_receipt(delivery, engine) is not None
            except Exception as error:
                return type(error).__name__
        from flows.commands import cache
        with api_server():  # within which whoever asks for cached results always is
            told = [cached()]
            read(delivery, engine)
            told.append(cached())
            cache.main(["clear", uri, "--document", "page.png", "--yes", "--json"])
            told.append(cached())
            receipt = read(delivery, engine)
            told.append(receipt["made_for"] == delivery.id)
            wiring.store(uri).remove(receipt["artefact"])
            told.append(cached())
            receipt = read(delivery, engine)
            told += [receipt["made_for"] == delivery.id, cached()]
        print(json.dumps(told), flush=True)
"""

SPEND = """
    import sys
    from pathlib import Path
    from inktally.paid_pages import Ledger
    ledger = Ledger(Path(sys.argv[1]), 10**9, 0.0015)
    while True:
        with ledger.spend():
            print("spent", flush=True)
"""


@pytest.fixture
def environment(prefect: PrefectServer, sandbox: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    own = {"PREFECT_HOME": str(tmp_path / "prefect"), "INKTALLY_SCRATCH": str(tmp_path)}
    return {**prefect.environment, **own, **sandbox}


def test_what_was_cleared_is_read_anew_and_never_stale(
    tmp_path: Path, environment: dict[str, str], forks: Forks
) -> None:
    store = tmp_path / "store"
    samples.render(tmp_path / "pictures")
    (store / "input").mkdir(parents=True)
    next((tmp_path / "pictures").glob("*.png")).rename(store / "input" / "page.png")
    said = forks.run(["-c", textwrap.dedent(READ), str(store)], environment)
    cleared, told = (json.loads(line) for line in said.splitlines()[-2:])
    assert (cleared["recognitions"], cleared["in_use"]) == (1, 0)
    assert told == [False, True, False, True, "BadResult", True, True]


def test_the_command_wants_to_know_what_and_asks_before_it_removes(
    prefect: PrefectServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with temporary_settings({PREFECT_API_URL: prefect.api}):
            status = cache.main([*arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    store = str(tmp_path / "store")
    artefact = tmp_path / "store" / "recognitions" / ("a" * 64) / f"{'b' * 16}.json"
    artefact.parent.mkdir(parents=True)
    artefact.write_text("{}")
    assert run("clear", store)[0] == 2
    status, told = run("clear", store, "--all")  # where nobody sits at a terminal
    assert (status, "--yes" in told, artefact.exists()) == (2, True, True)
    assert "cannot be told" in run("list", store)[1]
    assert "1 recognition (2 bytes) would be removed" in run("expire", store, "--older-than", "0", "--dry-run")[1]
    status, told = run("clear", store, "--all", "--yes")
    assert (status, "1 recognition (2 bytes) removed" in told, artefact.exists()) == (0, True, False)


@pytest.mark.long
def test_a_killed_process_has_counted_one_paid_page_too_many_at_most(tmp_path: Path) -> None:
    acknowledged = 0
    for kill in range(KILLS):
        program = [sys.executable, "-c", textwrap.dedent(SPEND), str(tmp_path)]
        with subprocess.Popen(program, cwd=PROJECT, stdout=subprocess.PIPE) as spending:
            assert spending.stdout is not None
            assert spending.stdout.readline() == b"spent\n"
            time.sleep(0.1 + 0.03 * kill)
            spending.kill()
            acknowledged += 1 + spending.stdout.read().count(b"spent")
        spent = Ledger(tmp_path, 10**9, 0.0015).spent
        assert acknowledged <= spent <= acknowledged + kill + 1
