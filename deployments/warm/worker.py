"""A worker whose runs start in milliseconds: `prefect worker start --pool inktally --type warm-process`.

The stock process worker starts a new Python for each run, which imports Prefect and the flows anew, for seconds. This
one forks a process that has them, and hears of a run when it is created, where the stock worker asks every ten seconds.
It asks too, in case it has missed one; and a run that cannot be forked starts as in the stock worker.
docs/decisions/0009-warm-worker.md says what was measured, and what happens when which process dies.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import anyio.to_thread
from prefect import Flow
from prefect.client.schemas.objects import Flow as StoredFlow, FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.flows import load_flow_from_entrypoint
from prefect.logging import get_logger
from prefect.workers.process import ProcessJobConfiguration, ProcessVariables, ProcessWorker, ProcessWorkerResult
from pydantic import Field, PrivateAttr

from deployments.warm.forkserver import Request
from deployments.warm.start import AGAIN_SECONDS as UNFIT_SECONDS, NoForkserver, WarmStart
from deployments.warm.supervised_run import ENGINE, FLOW_ENTRYPOINT, RunProcess, obstacle_to_all, supervise
from inktally.sandbox.confinement import confinement

IMPORTED_BY_ALL_RUNS = (
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.telemetry.run_telemetry",
    "anyio._backends._asyncio",
    "encodings.idna",
    "boto3",
    "pandas",
    "pyarrow.parquet",
    "pyspark.sql.connect.session",
    "spark_jobs.word_count",
    "inktally.counters.spark",
    "inktally.engines.tesseract",
    "inktally.reading",
    "inktally.stores.files",
    "inktally.stores.s3.bucket:load_models",
)
"""Besides the flows: what these import, or read, only when they run."""

READ_AT_START = ("PYTHON", "LD_", "PREFECT_TASK", "PREFECT_RUNNER_AUTO_INSTALL")
"""The beginnings of variables that have their effect before a forked process gets them."""

PULL_STEP = "prefect.deployments.steps.set_working_directory"
ALONE_SECONDS = 900
"""How long a run may go on when its worker has been killed."""
LOOK_SECONDS = 2
"""How often it is looked whether the forkserver is alive and current."""
AGAIN_SECONDS = 10
"""When something that failed is tried again."""
SOON = 0.1
COLD = "Runs cannot start warm: %s. Each starts as a new process, seconds later (docs/decisions/0009-warm-worker.md)."
"""Said once, at the worker's start."""

logger = get_logger("worker.warm")


class WarmJobConfiguration(ProcessJobConfiguration):
    """The stock worker's, and whether to fork."""

    warm: bool = Field(default=True)

    _deployment: DeploymentResponse | None = PrivateAttr(default=None)
    _has_command: bool = PrivateAttr(default=False)

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: StoredFlow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        self._deployment = deployment
        self._has_command = self.command is not None
        super().prepare_for_flow_run(flow_run, deployment, flow, work_pool, worker_name, worker_id)

    @property
    def entrypoint(self) -> str:
        """The flow's, as in flows/ocr_flow.py:ocr_flow; empty when there is none."""
        return (self._deployment.entrypoint if self._deployment else None) or ""

    def obstacle(self, root: Path) -> str | None:
        """Why this run cannot be forked from what stands in `root`; None when it can."""
        steps = (self._deployment.pull_steps if self._deployment else None) or []
        unlike = [
            name for name, value in self.env.items() if name.startswith(READ_AT_START) and value != os.environ.get(name)
        ]
        obstacles = {
            "the job variable `warm` is false": not self.warm,
            "it has a command of its own": self._has_command,
            "its entrypoint is no file": ":" not in self.entrypoint,
            f"its code is not the worker's, in {root}": steps != [{PULL_STEP: {"directory": str(root)}}],
            f"it sets {', '.join(unlike)}": bool(unlike),
        }
        return next((why for why, holds in obstacles.items() if holds), None)


class WarmVariables(ProcessVariables):
    """The stock worker's, and whether to fork."""

    warm: bool = Field(default=True, description="Start the run in milliseconds, from a process that has the flows.")


class WarmWorker(ProcessWorker):
    """A process worker that forks its runs from a process that has imported the flows of its working directory."""

    type = "warm-process"
    job_configuration = WarmJobConfiguration
    job_configuration_variables = WarmVariables  # type: ignore[assignment]  # declared too narrowly in ProcessWorker
    _display_name = "Warm process"
    _description = "Execute flow runs as processes that start in milliseconds, with Prefect and the flows imported."

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._root = Path.cwd()
        self._warm = WarmStart(self._root, [*_flows(self._root), *IMPORTED_BY_ALL_RUNS])
        self._obstacle_to_all = obstacle_to_all()
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()

    async def start(
        self, run_once: bool = False, with_healthcheck: bool = False, printer: Callable[..., None] = print
    ) -> None:
        """Poll, listen and fork until told to stop."""
        services = [self._keep_warm()] if run_once else [self._keep_warm(), self._listen(), self._look_when_told()]
        tasks = [asyncio.create_task(service) for service in services]
        try:
            await super().start(run_once, with_healthcheck, printer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._warm.close()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: WarmJobConfiguration,  # type: ignore[override]  # the one that this type of worker gets
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run a flow until its end."""
        try:
            if await self._can_fork(flow_run, configuration):
                return await self._run_warm(flow_run, configuration, task_status or anyio.TASK_STATUS_IGNORED)
            return await super().run(flow_run, configuration, task_status)
        finally:
            self._news.set()  # there may be room for a run now

    async def _run_warm(
        self, flow_run: FlowRun, configuration: WarmJobConfiguration, task_status: anyio.abc.TaskStatus[int]
    ) -> ProcessWorkerResult:
        async def fork(variables: dict[str, str]) -> RunProcess:
            return await self._warm.fork(self._request(configuration, variables))

        async def find_flow(_: FlowRun) -> Flow[..., Any]:
            entrypoint = f"{self._root}/{configuration.entrypoint}"
            return await anyio.to_thread.run_sync(load_flow_from_entrypoint, entrypoint, False)

        pid, status = await supervise(flow_run, fork, find_flow, task_status.started)
        return ProcessWorkerResult(identifier=str(pid), status_code=status)

    async def _can_fork(self, flow_run: FlowRun, configuration: WarmJobConfiguration) -> bool:
        """What is in the way of this run stands in its log; what is in the way of all, in the worker's, once."""
        if self._obstacle_to_all:
            return False
        if obstacle := configuration.obstacle(self._root):
            self.get_flow_run_logger(flow_run).info("Starting as a new process: %s", obstacle)
            return False
        try:
            await self._warm.server()
        except NoForkserver:
            return False
        return True

    def _request(self, configuration: WarmJobConfiguration, variables: dict[str, str]) -> Request:
        given = {name: value for name, value in configuration.env.items() if value is not None}
        path = os.pathsep.join(filter(None, [str(self._root), given.get("PYTHONPATH")]))
        ours = {"PYTHONPATH": path, FLOW_ENTRYPOINT: configuration.entrypoint}
        return Request(
            module=ENGINE,
            env={**given, **variables, **ours},
            cwd=str(self._root),
            output=configuration.stream_output,
            alone=ALONE_SECONDS,
        )

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """As the stock worker, but one at a time: it is called when the time has come, and when there is news."""
        async with self._turn:
            return await super().get_and_submit_flow_runs()

    async def _look_when_told(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.get_and_submit_flow_runs()
            except Exception:  # the polling goes on, and knows when to give up
                logger.debug("could not look for runs", exc_info=True)

    async def _listen(self) -> None:
        """Hear of runs as they are scheduled. When the connection fails there is still the polling."""
        while True:
            try:
                await self._hear()
            except Exception:  # the server is away, or does not know the pool yet
                logger.debug("not connected to Prefect's events", exc_info=True)
            await anyio.sleep(AGAIN_SECONDS if self.is_setup else SOON)

    async def _hear(self) -> None:
        scheduled = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.Scheduled"]),
            any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{self.work_pool.id}"]),
        )
        async with get_events_subscriber(filter=scheduled) as events:
            self._news.set()  # of what was scheduled before we listened
            async for _ in events:
                self._news.set()

    async def _keep_warm(self) -> None:
        """Have a forkserver ready, and say when there can be none; the same reason is not said twice in a row.

        Said first, and once: how those are confined who open pictures here.
        """
        granted = await anyio.to_thread.run_sync(confinement)
        logger.log(logging.WARNING if granted.missing else logging.INFO, "%s", granted)
        if self._obstacle_to_all:
            logger.warning(COLD, self._obstacle_to_all)
            return
        said = ""
        while True:
            try:
                await self._warm.server()
                said = ""
                await anyio.sleep(LOOK_SECONDS)
            except NoForkserver as error:
                if str(error) != said:
                    said = str(error)
                    logger.warning(COLD, said)
                await anyio.sleep(UNFIT_SECONDS)


def _flows(root: Path) -> list[str]:
    return [f"flows.{module.name}" for module in iter_modules([str(root / "flows")])]
