"""The warm worker on a real Prefect server: runs are forked, watched, cancelled and cleaned up after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from deployments.warm.worker import WarmJobConfiguration
from tests.support.machine import QUIET, eventually
from tests.support.prefect_servers import new_server, running_postgres
from tests.support.servers import wait_until

FLOW = '''
import json, os, time
from pathlib import Path
from prefect import flow, get_run_logger
from flows.greeting import GREETING

@flow
def note(name: str, seconds: float = 0) -> None:
    """Write down where and how it runs, and sleep."""
    print(f"printed by {name}")
    get_run_logger().info("logged by %s", name)
    facts = {"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgrp(), "cwd": os.getcwd(),
             "greeting": GREETING, "colour": os.environ.get("COLOUR"), "began": time.time()}
    Path(f"{name}.part").write_text(json.dumps(facts))
    Path(f"{name}.part").rename(f"{name}.json")
    time.sleep(seconds)

@note.on_cancellation
def tell(flow, flow_run, state):
    Path(f"{flow_run.parameters['name']}.{state.name}").touch()

@note.on_crashed
def tell_too(flow, flow_run, state):
    Path(f"{flow_run.parameters['name']}.{state.name}").touch()
'''
LIMIT = 2


@dataclass
class Worker:
    """A warm worker in a folder with one flow, `note`, that is deployed there."""

    folder: Path
    client: SyncPrefectClient
    environment: Mapping[str, str]
    program: Sequence[str] = ("prefect",)
    is_warm: bool = True
    popen: subprocess.Popen[bytes] = field(init=False)
    deployment: UUID = field(init=False)

    def start(self) -> None:
        options = ["--pool", self.folder.name, "--type", "warm-process", "--limit", str(LIMIT)]
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [*self.program, "worker", "start", *options],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: "started!" in self.log.read_text() and bool(self.forkservers()) == self.is_warm, self.popen)
        self.deployment = self.client.create_deployment(
            self.client.create_flow_from_name("note"),
            name=self.folder.name,
            work_pool_name=self.folder.name,
            entrypoint="flows/note.py:note",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(self.folder)}}],
            job_variables={"env": {"COLOUR": "green"}},
        )

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def begin(self, name: str, seconds: float = 0, **job_variables: Any) -> FlowRun:
        return self.client.create_flow_run_from_deployment(
            self.deployment, parameters={"name": name, "seconds": seconds}, job_variables=job_variables
        )

    def facts(self, name: str) -> dict[str, Any]:
        """What the run has written down, when it has begun."""
        file = self.folder / f"{name}.json"
        eventually(file.exists)
        facts: dict[str, Any] = json.loads(file.read_text())
        return facts

    def end_of(self, run: FlowRun) -> State[Any]:
        eventually(lambda: self.state_of(run).is_final())
        return self.state_of(run)

    def state_of(self, run: FlowRun) -> State[Any]:
        state = self.client.read_flow_run(run.id).state
        assert state is not None
        return state

    def processes(self) -> list[psutil.Process]:
        """All processes that the worker and what it has started have left, zombies too, whoever their parent is."""
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def _is_ours(self, each: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return bool(each.environ().get("PREFECT_HOME") == self.environment["PREFECT_HOME"])
        with suppress(psutil.Error):  # a zombie has no environment
            return bool(each.ppid() == self.popen.pid)
        return False

    def is_idle(self) -> bool:
        return not any(psutil.Process(pid).children() for pid in self.forkservers())

    def forkservers(self) -> list[int]:
        """Those that accept runs; not their children, whose command line is the same."""
        alive = [each for each in self.processes() if each.status() != psutil.STATUS_ZOMBIE]
        children = [each for each in alive if each.ppid() == self.popen.pid]
        return [each.pid for each in children if "deployments.warm.forkserver" in each.cmdline()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """On PostgreSQL where there is one: on SQLite two runs that begin at once now and then wait for it for a minute."""
    with running_postgres() as database:
        made = new_server(tmp_path_factory.mktemp("prefect"), database)
        with made.running():
            yield made.api


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as made:
        yield made


@pytest.fixture(scope="module")
def worker(server: str, client: SyncPrefectClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One for all tests; each leaves it running, idle, and with a forkserver."""
    with new_worker(server, client, tmp_path_factory.mktemp("warm")) as made:
        yield made


@pytest.fixture
def another_worker(server: str, client: SyncPrefectClient, tmp_path: Path) -> Iterator[Worker]:
    """One that a test may stop or kill."""
    with new_worker(server, client, tmp_path) as made:
        yield made


@contextmanager
def new_worker(server: str, client: SyncPrefectClient, folder: Path, **options: Any) -> Iterator[Worker]:
    (folder / "flows").mkdir(exist_ok=True)
    (folder / "flows" / "__init__.py").touch()
    (folder / "flows" / "greeting.py").write_text("GREETING = 'hello'\n")
    (folder / "flows" / "note.py").write_text(FLOW)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INKTALLY_", "PREFECT_"))}
    ours = {"PREFECT_API_URL": server, "PREFECT_HOME": str(folder / "home")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    made = Worker(folder, client, {**kept, **QUIET, **ours, "PATH": path}, **options)
    try:
        made.start()
        yield made
    finally:
        for each in made.processes():
            with suppress(psutil.Error):
                each.kill()
        made.popen.wait()


def test_a_run_is_forked_and_leads_a_process_group(worker: Worker) -> None:
    run = worker.begin("forked")
    assert worker.end_of(run).is_completed()
    facts = worker.facts("forked")
    assert [facts["parent"]] == worker.forkservers()
    assert facts["group"] == facts["pid"]
    assert worker.client.read_flow_run(run.id).infrastructure_pid == str(facts["pid"])


@pytest.mark.alone
def test_a_run_begins_within_a_second_or_two_although_the_worker_asks_every_ten(worker: Worker) -> None:
    begun = time.time()
    worker.begin("quick")
    assert worker.facts("quick")["began"] - begun < 3


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


@pytest.mark.alone
def test_runs_go_side_by_side_up_to_the_limit_and_the_next_follows_at_once(worker: Worker) -> None:
    eventually(worker.is_idle)
    runs = [worker.begin(f"parallel-{number}", seconds=3) for number in range(LIMIT + 1)]
    assert all(worker.end_of(run).is_completed() for run in runs)
    first, second, third = sorted(worker.facts(f"parallel-{number}")["began"] for number in range(LIMIT + 1))
    assert second - first < 3
    assert 3 <= third - first < 9


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


def test_nothing_is_left_of_a_worker_that_is_stopped(another_worker: Worker) -> None:
    run = another_worker.begin("interrupted", seconds=60)
    another_worker.facts("interrupted")
    another_worker.popen.terminate()
    another_worker.popen.wait(30)
    eventually(lambda: not another_worker.processes())
    assert another_worker.state_of(run).is_crashed()


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
    server: str, client: SyncPrefectClient, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", OTHER_VERSION]
    with new_worker(server, client, tmp_path, program=program, is_warm=False) as cold:
        runs = [cold.begin(name) for name in ("first", "second")]
        assert all(cold.end_of(run).is_completed() for run in runs)
        assert cold.facts("first")["parent"] == cold.popen.pid
        said = cold.log.read_text()
        assert "Runs cannot start warm: this is written for Prefect 0.1, and 3" in " ".join(said.split())
        assert said.count("cannot start warm") == 1
        assert said.index("cannot start warm") < said.index("printed by")
        assert "Starting as a new process" not in said
        assert not cold.forkservers()


UNFIT = """
import deployments.warm.start
deployments.warm.start.AGAIN_SECONDS = 1
from prefect.cli import app
app()
"""


def test_a_worker_whose_forkserver_is_unfit_says_so_once_until_it_is_fit(
    server: str, client: SyncPrefectClient, tmp_path: Path
) -> None:
    (tmp_path / "flows").mkdir()
    threaded = tmp_path / "flows" / "threaded.py"
    threaded.write_text("import threading, time; threading.Thread(target=time.sleep, args=[60], daemon=True).start()")
    program = [sys.executable, "-c", UNFIT]
    with new_worker(server, client, tmp_path, program=program, is_warm=False) as worker:
        eventually(lambda: "cannot start warm" in worker.log.read_text())
        assert worker.end_of(worker.begin("cold")).is_completed()
        time.sleep(5)
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
