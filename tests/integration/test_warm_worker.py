"""The warm worker on a real Prefect server: runs are forked, watched, cancelled and cleaned up after."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.states import Cancelling

from deployments.warm.worker import WarmJobConfiguration
from tests.support.waiting import eventually
from tests.support.warm_workers import Worker, new_worker


@pytest.fixture(scope="module")
def worker(prefect_client: SyncPrefectClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One for all tests; each leaves it running, idle, and with a forkserver."""
    with new_worker(prefect_client, tmp_path_factory.mktemp("warm")) as made:
        yield made


@pytest.fixture
def another_worker(prefect_client: SyncPrefectClient, tmp_path: Path) -> Iterator[Worker]:
    """One that a test may stop or kill."""
    with new_worker(prefect_client, tmp_path) as made:
        yield made


def test_a_run_is_forked_and_leads_a_process_group(worker: Worker) -> None:
    run = worker.begin("forked")
    assert worker.end_of(run).is_completed()
    facts = worker.facts("forked")
    assert [facts["parent"]] == worker.forkservers()
    assert facts["group"] == facts["pid"]
    assert worker.client.read_flow_run(run.id).infrastructure_pid == str(facts["pid"])


def test_a_runs_own_variables_are_gone_with_it(worker: Worker) -> None:
    worker.begin("red", env={"COLOUR": "red"})
    assert worker.facts("red")["colour"] == "red"
    worker.begin("green")
    assert worker.facts("green")["colour"] == "green"
    assert worker.facts("green")["cwd"] == str(worker.folder)


def test_the_settings_of_prefect_in_a_runs_variables_hold_for_it_alone(worker: Worker) -> None:
    runs = [worker.begin("silent", env={"PREFECT_LOGGING_LEVEL": "ERROR"}), worker.begin("told")]
    assert all(worker.end_of(run).is_completed() for run in runs)
    eventually(lambda: all(words in worker.log.read_text() for words in ("printed by silent", "logged by told")))
    assert worker.log.read_text().count("logged by told") == 1
    assert "logged by silent" not in worker.log.read_text()


def test_a_run_whose_settings_cannot_work_crashes_alone(worker: Worker) -> None:
    run = worker.begin("unset", env={"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "often"})
    assert worker.end_of(run).is_crashed()
    assert worker.end_of(worker.begin("set")).is_completed()


def test_what_a_run_prints_is_not_shown_when_it_shall_not_be(worker: Worker) -> None:
    assert worker.end_of(worker.begin("quiet", stream_output=False)).is_completed()
    assert "printed by quiet" not in worker.log.read_text()


def test_a_cancelled_run_ends_and_its_hooks_run(worker: Worker) -> None:
    run = worker.begin("cancelled", seconds=60)
    pid = worker.facts("cancelled")["pid"]
    worker.client.set_flow_run_state(run.id, Cancelling())
    eventually(lambda: worker.state_of(run).is_cancelled())
    assert not psutil.pid_exists(pid)
    assert (worker.folder / "cancelled.Cancelling").exists()


def test_a_run_whose_process_is_killed_is_crashed_and_its_hooks_run(worker: Worker) -> None:
    run = worker.begin("killed", seconds=60)
    os.kill(worker.facts("killed")["pid"], signal.SIGKILL)
    assert worker.end_of(run).is_crashed()
    eventually((worker.folder / "killed.Crashed").exists)


@pytest.mark.long
def test_when_the_forkserver_is_killed_runs_go_on_and_new_ones_start(worker: Worker) -> None:
    (forkserver,) = worker.forkservers()
    goes_on, dies = worker.begin("goes-on", seconds=2), worker.begin("dies", seconds=60)
    pid = worker.facts("dies")["pid"]
    worker.facts("goes-on")
    os.kill(forkserver, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert worker.end_of(dies).is_crashed()
    assert worker.end_of(goes_on).is_completed()
    assert worker.end_of(worker.begin("next")).is_completed()
    assert [worker.facts("next")["parent"]] == worker.forkservers() != [forkserver]


def test_changed_code_is_used_by_the_next_run(worker: Worker) -> None:
    before = worker.begin("before", seconds=1)
    assert worker.facts("before")["greeting"] == "hello"
    (worker.folder / "flows" / "greeting.py").write_text("GREETING = 'good evening'\n")
    worker.begin("after")
    assert worker.facts("after")["greeting"] == "good evening"
    assert worker.facts("after")["parent"] != worker.facts("before")["parent"]
    assert worker.end_of(before).is_completed()


def test_a_run_that_is_not_to_be_forked_starts_as_in_the_stock_worker(worker: Worker) -> None:
    assert worker.end_of(worker.begin("cold", warm=False)).is_completed()
    assert worker.facts("cold")["parent"] == worker.popen.pid


@pytest.mark.long
def test_nothing_is_left_of_a_worker_that_is_stopped(another_worker: Worker) -> None:
    run = another_worker.begin("interrupted", seconds=60)
    another_worker.facts("interrupted")
    another_worker.popen.terminate()
    another_worker.popen.wait(30)
    eventually(lambda: not another_worker.processes())
    assert another_worker.state_of(run).is_crashed()


@pytest.mark.long
def test_a_run_goes_on_when_its_worker_is_killed_and_then_nothing_is_left(another_worker: Worker) -> None:
    run = another_worker.begin("abandoned", seconds=2)
    another_worker.facts("abandoned")
    another_worker.popen.kill()
    another_worker.popen.wait()
    assert another_worker.end_of(run).is_completed()
    eventually(lambda: not another_worker.processes())


OTHER_VERSION = """
from deployments.warm import supervised_run
supervised_run.WRITTEN_FOR = "0.1"
from prefect.cli import app
app()
"""


def test_a_worker_for_another_version_of_prefect_says_once_at_its_start_that_runs_start_cold(
    prefect_client: SyncPrefectClient, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", OTHER_VERSION]
    with new_worker(prefect_client, tmp_path, program=program, is_warm=False) as cold:
        assert cold.end_of(cold.begin("first")).is_completed()
        assert cold.facts("first")["parent"] == cold.popen.pid
        said = cold.log.read_text()
        assert "Runs cannot start warm: this is written for Prefect 0.1, and 3" in " ".join(said.split())
        assert said.count("cannot start warm") == 1
        assert said.index("cannot start warm") < said.index("printed by")
        assert "Starting as a new process" not in said
        assert not cold.forkservers()


UNFIT = """
import deployments.warm.start
deployments.warm.start.AGAIN_SECONDS = 0.2
from prefect.cli import app
app()
"""


def test_a_worker_whose_forkserver_is_unfit_says_so_once_until_it_is_fit(
    prefect_client: SyncPrefectClient, tmp_path: Path
) -> None:
    (tmp_path / "flows").mkdir()
    threaded = tmp_path / "flows" / "threaded.py"
    threaded.write_text("import threading, time; threading.Thread(target=time.sleep, args=[60], daemon=True).start()")
    program = [sys.executable, "-c", UNFIT]
    with new_worker(prefect_client, tmp_path, program=program, is_warm=False) as worker:
        eventually(lambda: "cannot start warm" in worker.log.read_text())
        assert worker.end_of(worker.begin("cold")).is_completed()
        time.sleep(2)
        assert worker.log.read_text().count("cannot start warm") == 1
        threaded.unlink()
        eventually(lambda: bool(worker.forkservers()) and "start warm, with" in worker.log.read_text())
        assert worker.end_of(worker.begin("warm")).is_completed()
        assert [worker.facts("warm")["parent"]] == worker.forkservers()


# Which runs can be forked.


@pytest.mark.parametrize(
    ("unlike", "why"),
    [
        ({}, None),
        ({"warm": False}, "`warm` is false"),
        ({"command": "python -m prefect.engine"}, "command of its own"),
        ({"env": {"PYTHONOPTIMIZE": "1"}}, "it sets PYTHONOPTIMIZE"),
        ({"env": {"INKTALLY_STORE": "s3://bucket"}}, None),
        ({"entrypoint": "flows.note.note"}, "its entrypoint is no file"),
        ({"folder": "/elsewhere"}, "its code is not the worker's"),
        ({"pull_steps": []}, "its code is not the worker's"),
    ],
)
def test_a_run_is_forked_unless_a_fork_would_be_another_process(
    tmp_path: Path, unlike: dict[str, Any], why: str | None
) -> None:
    step = {"prefect.deployments.steps.set_working_directory": {"directory": unlike.pop("folder", str(tmp_path))}}
    deployment = DeploymentResponse(
        name="note",
        flow_id=uuid4(),
        labels={},
        entrypoint=unlike.pop("entrypoint", "flows/note.py:note"),
        pull_steps=unlike.pop("pull_steps", [step]),
    )
    configuration = WarmJobConfiguration(**unlike)
    configuration.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="a run"), deployment)
    obstacle = configuration.obstacle(tmp_path)
    assert obstacle is None if why is None else why in (obstacle or "")
