"""What the warm worker needs of Prefect beyond its public worker API: to look after a process that runs a flow.

The stock process worker does the same in its `run`, for a process that it starts itself. All that has an underscore in
its name is Prefect's own affair and may change with any release. So this is written for one version; under any other
the worker says so when it starts, and starts runs as the stock one does; docs/prefect-internals.md says what to do.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio.abc
import prefect
from prefect import Flow
from prefect.client.schemas.objects import FlowRun

if TYPE_CHECKING:
    from prefect.runner._control_channel import ControlChannel
    from prefect.runner._process_manager import ProcessHandle

WRITTEN_FOR = "3.9.1"

ENGINE = "prefect.engine"
"""The module that runs the flow at FLOW_ENTRYPOINT for the run PREFECT__FLOW_RUN_ID."""
FLOW_ENTRYPOINT = "PREFECT__FLOW_ENTRYPOINT"
NO_HOOKS = {"PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false"}
"""The process leaves them to the worker, which outlives it."""


class RunProcess(Protocol):
    """A process that leads a process group of its own."""

    pid: int
    returncode: int | None

    async def wait(self) -> int: ...


Fork = Callable[[dict[str, str]], Awaitable[RunProcess]]
"""Starts a process with these variables besides its own."""


def obstacle_to_all() -> str:
    """Why no run at all can be forked here; empty when they can."""
    if prefect.__version__ != WRITTEN_FOR:
        return f"this is written for Prefect {WRITTEN_FOR}, and {prefect.__version__} is installed"
    return "" if hasattr(os, "pidfd_open") else "this system has no process descriptors; Linux has them"


async def supervise(
    flow_run: FlowRun,
    fork: Fork,
    find_flow: Callable[[FlowRun], Awaitable[Flow[..., Any]]],
    started: Callable[[int], None],
) -> tuple[int, int]:
    """Have a process run a flow, until it ends; its process id, and its status: 0 unless the run has crashed.

    `started` is told the process id as soon as there is one. A cancellation is told to the process, which is then
    ended, and the run becomes Cancelled. A run whose process dies becomes Crashed. The flow is looked up for its hooks
    only then. Raises `RuntimeError` when there was no process.
    """
    from prefect.runner._flow_run_executor import FlowRunExecutorContext

    async with FlowRunExecutorContext() as context:
        starter = _Starter(context.control_channel, fork, started)
        executor = context.create_executor(flow_run, starter, resolve_flow=find_flow, propose_submitting=False)
        ended = await executor.submit()
    if ended is None or ended.status_code is None or ended.handle.pid is None:
        raise RuntimeError("The run's process did not start.")
    return ended.handle.pid, ended.status_code


class _Starter:
    """Prefect's ProcessStarter: start a process, tell of it, and return when it has ended."""

    def __init__(self, channel: ControlChannel, fork: Fork, started: Callable[[int], None]) -> None:
        self._channel = channel
        self._fork = fork
        self._started = started

    async def start(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope

        child = await self._fork({**self._control(flow_run), **NO_HOOKS})
        task_status.started(ProcessHandle(cast(Any, child), create_isolated_termination_scope(child.pid)))
        self._started(child.pid)
        await child.wait()

    def _control(self, flow_run: FlowRun) -> dict[str, str]:
        """Where the process is told that a signal means cancellation; without that, it takes it for a crash."""
        try:
            port, token = self._channel.register(flow_run.id)
        except RuntimeError:  # it could not listen
            return {}
        return {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}
