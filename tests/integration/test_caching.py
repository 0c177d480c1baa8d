"""Prefect's cache as Inktally configures it: plain JSON, one body at a time, locks that end with their holder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from prefect.locking.protocol import LockManager

from inktally import plugins
from inktally.settings import read_settings
from tasks.locking import StoreLockManager
from tests.support.prefect_servers import new_server

HOLD = """
    import sys, time
    from inktally import plugins
    from inktally.settings import read_settings
    from tasks.locking import StoreLockManager
    locks = StoreLockManager(plugins.store(sys.argv[1], read_settings()), ttl=float(sys.argv[2]))
    locks.acquire_lock("v1.2/key", "me")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def locks(tmp_path: Path) -> StoreLockManager:
    return manager(tmp_path)


def manager(folder: Path, ttl: float = 30) -> StoreLockManager:
    return StoreLockManager(plugins.store(str(folder), read_settings()), ttl)


def test_it_is_a_lock_manager_as_prefect_wants_one(locks: StoreLockManager) -> None:
    assert isinstance(locks, LockManager)


def test_a_lock_belongs_to_its_holder_until_it_is_released(locks: StoreLockManager, tmp_path: Path) -> None:
    assert locks.acquire_lock("key", "me")
    assert locks.acquire_lock("key", "me")
    assert (locks.is_lock_holder("key", "me"), locks.is_lock_holder("key", "you")) == (True, False)
    other = manager(tmp_path)
    assert not other.acquire_lock("key", "you", acquire_timeout=0)
    assert not other.wait_for_lock("key", timeout=0)
    with pytest.raises(ValueError, match="you does not hold"):
        locks.release_lock("key", "you")
    locks.release_lock("key", "me")
    assert other.wait_for_lock("key", timeout=0)
    assert other.acquire_lock("key", "you", acquire_timeout=0)
    other.release_lock("key", "you")


@pytest.mark.parametrize(("one", "other"), [("v1.2", "v1.3"), ("a/b", "a"), ("key", "KEY")])
def test_keys_that_look_alike_have_locks_of_their_own(locks: StoreLockManager, one: str, other: str) -> None:
    assert locks.acquire_lock(one, "me")
    assert locks.acquire_lock(other, "you", acquire_timeout=0)
    locks.release_lock(one, "me")
    locks.release_lock(other, "you")


def test_the_lock_of_a_killed_process_ends_after_its_time_and_not_before(tmp_path: Path) -> None:
    program = [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path), "2"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        time.sleep(3)
        locks = manager(tmp_path, ttl=2)
        assert not locks.acquire_lock("v1.2/key", "you", acquire_timeout=0)
        holder.send_signal(signal.SIGKILL)
    begun = time.monotonic()
    assert locks.acquire_lock("v1.2/key", "you", acquire_timeout=10)
    assert time.monotonic() - begun < 5
    locks.release_lock("v1.2/key", "you")


RACE = """
    import json, sys, time
    from pathlib import Path
    from prefect import flow, task
    from prefect.cache_policies import CacheKeyFnPolicy
    from tasks.caching import PLAIN_JSON
    from tasks.locking import StoreLockManager
    from inktally import plugins
    from inktally.settings import read_settings

    folder = Path(sys.argv[1])
    locks = StoreLockManager(plugins.store(str(folder / "store"), read_settings()), ttl=30)
    policy = CacheKeyFnPolicy(cache_key_fn=lambda context, parameters: "the-key").configure(
        lock_manager=locks, isolation_level="SERIALIZABLE"
    )

    @task(cache_policy=policy, persist_result=True, result_serializer=PLAIN_JSON, result_storage=folder / "results")
    def body():
        with (folder / "bodies").open("a") as log:
            log.write("ran\\n")
        time.sleep(2)
        return {"answer": 42}

    @flow
    def run():
        return body()

    print(json.dumps(run()))
"""


def test_two_processes_run_one_body_and_the_record_is_plain_json(tmp_path: Path) -> None:
    program = [sys.executable, "-c", textwrap.dedent(RACE), str(tmp_path)]
    (tmp_path / "prefect").mkdir()
    prefect = new_server(tmp_path / "prefect")
    with prefect.running():
        racers = [
            subprocess.Popen(program, env=prefect.environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        answers = [racer.communicate(timeout=90)[0].splitlines()[-1] for racer in racers]
    assert [json.loads(answer) for answer in answers] == [{"answer": 42}] * 2
    assert (tmp_path / "bodies").read_text() == "ran\n"
    record = json.loads((tmp_path / "results" / "the-key").read_bytes())
    assert json.loads(record["result"]) == {"answer": 42}
    assert record["metadata"]["serializer"]["type"] == "json"
