"""The corpus in real stores, by real processes that are killed or race."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from inktally import keys, plugins
from inktally.corpus.manifest import consistently, standing
from inktally.corpus.partition import merged
from inktally.corpus.reconciling import Changes, exclude, reconcile
from inktally.corpus.report import report
from inktally.errors import Busy
from inktally.ports import Store
from inktally.settings import Settings
from tests.support.counted import Sums, put_counts, recounted
from tests.support.forks import Forks
from tests.support.prefect_servers import PrefectServer
from tests.support.servers import S3Server

PROJECT = Path(__file__).parents[2]
SETTINGS = Settings(lease_seconds=0.5, _env_file=None)
KILLS = 4

COUNT_ON = """
    import sys
    from inktally import plugins
    from inktally.corpus.reconciling import reconcile
    from inktally.settings import Settings
    settings = Settings(lease_seconds=0.5, _env_file=None)
    store = plugins.store(sys.argv[1], settings)
    print("ready", flush=True)
    reconcile(store, settings, recount=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return plugins.store(str(tmp_path / "store"), SETTINGS)


def fill(store: Store, documents: int, seed: int = 0) -> None:
    chance = random.Random(seed)  # noqa: S311
    for number in range(documents):
        counts = {f"w{chance.randint(0, 500)}": chance.randint(1, 9) for _ in range(50)}
        put_counts(store, f"{number % 5}/{number}.png", counts)


def kept(store: Store) -> Sums:
    def look(corpus: Any) -> pa.Table:
        return merged(corpus.words(), ["day", "prefix", "word"])

    rows = consistently(store, look).to_pylist()
    return {(row["day"], row["prefix"], row["word"]): (row["total"], row["documents"]) for row in rows}


@pytest.mark.long
def test_it_equals_a_recount_after_each_of_many_kills(store: Store) -> None:
    fill(store, 60)
    reconcile(store, SETTINGS)
    before = recounted(store)
    for kill in range(KILLS):
        assert kept(store) == before, "a run that was killed left what was there, or all that it wanted"
        program = [sys.executable, "-c", textwrap.dedent(COUNT_ON), store.uri]
        fill(store, 30, seed=kill)
        with subprocess.Popen(program, cwd=PROJECT, stdout=subprocess.PIPE) as counting:
            assert counting.stdout is not None
            assert counting.stdout.readline() == b"ready\n"
            time.sleep(0.05 * kill)
            counting.kill()
        reconcile(store, SETTINGS)
        before = recounted(store)
    assert kept(store) == before
    assert reconcile(store, SETTINGS, recount=True) == Changes()


def test_two_runs_at_once_are_kept_apart(store: Store) -> None:
    fill(store, 40)

    def run(_: int) -> Changes | Busy:
        try:
            return reconcile(store, SETTINGS)
        except Busy as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(run, range(2)))
    assert sum(changes.added for changes in ended if isinstance(changes, Changes)) == 40
    assert kept(store) == recounted(store)


def test_a_bucket_of_s3_has_a_corpus_too(s3: S3Server) -> None:
    settings = s3.settings(lease_seconds=5)
    store = plugins.store(f"s3://{s3.new_bucket()}", settings)
    fill(store, 40)
    assert reconcile(store, settings) == Changes(added=40)
    put_counts(store, "0/5.png", {"changed": 1})
    store.remove(keys.word_counts("1/6.png"))
    exclude(store, "2/7.png")
    assert reconcile(store, settings) == Changes(changed=1, removed=2)
    assert kept(store) == recounted(store, "2/7.png")
    told = report(store, settings, top=3, by="prefix", document="0/5.png")
    assert (told.documents, told.marking[0].word, len(told.groups)) == (38, "changed", 5)
    assert {found.key for found in store.list(keys.CORPUS_PARTS)} == standing(store).manifest.files


def test_the_command_tells_of_the_corpus(prefect: PrefectServer, forks: Forks, tmp_path: Path) -> None:
    store = plugins.store(str(tmp_path / "store"), SETTINGS)
    put_counts(store, "a.png", {"zephyr": 2, "<b>": 1})
    put_counts(store, "b.png", {"the": 4})
    environment = {**prefect.environment, "PREFECT_HOME": str(tmp_path / "prefect")}
    options = ["--json", "--by", "prefix", "--document", "input/a.png", "--remove", "b.png"]
    told = json.loads(forks.run(["-m", "flows.corpus_flow", store.uri, *options], environment))
    assert (told["documents"], told["tokens"], told["changes"]["added"]) == (1, 3, 1)
    assert [entry["word"] for entry in told["words"]] == ["zephyr", "<b>"]
    assert {Path(address).name for address in told["files"].values()} == {"words.csv", "growth.svg"}
