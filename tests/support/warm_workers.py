"""A warm worker in a folder of its own, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State

from tests.support.machine import QUIET
from tests.support.waiting import eventually, wait_until

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
        options = ["--pool", self.name, "--type", "warm-process", "--limit", str(LIMIT)]
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
            name=self.name,
            work_pool_name=self.name,
            entrypoint="flows/note.py:note",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(self.folder)}}],
            job_variables={"env": {"COLOUR": "green"}},
        )

    @property
    def name(self) -> str:
        """That of its pool and its deployment."""
        return f"{self.folder.name}-{os.getpid()}"

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


@contextmanager
def new_worker(client: SyncPrefectClient, folder: Path, **options: Any) -> Iterator[Worker]:
    """A worker with a pool and a flow of its own, on the server of a client."""
    (folder / "flows").mkdir(exist_ok=True)
    (folder / "flows" / "__init__.py").touch()
    (folder / "flows" / "greeting.py").write_text("GREETING = 'hello'\n")
    (folder / "flows" / "note.py").write_text(FLOW)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INKTALLY_", "PREFECT_"))}
    ours = {"PREFECT_API_URL": str(client.api_url).rstrip("/"), "PREFECT_HOME": str(folder / "home")}
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
