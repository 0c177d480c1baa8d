"""What the runs of this process gave, for the command that started them.

The server of Prefect keeps no results. When its answer to the last state of a run is lost, the request is repeated,
and what comes back is the server's copy of that state, which has none.
"""

from typing import Any
from uuid import UUID

from prefect import State
from prefect.runtime import flow_run

from inktally.text import printable

_ended: dict[UUID | None, State[Any]] = {}
"""Of the latest run alone, since a process may have many, and nobody ask."""


class RunFailed(Exception):
    """Why a run has failed, and what it gave all the same; Prefect logs the message and nothing else."""

    def __init__(self, message: str, given: object) -> None:
        super().__init__(message)
        self.given = given


def ended(state: State[Any]) -> State[Any]:
    """The last state of the run that calls this, which is to return it."""
    state.message = printable(state.message or "")
    _ended.clear()
    _ended[UUID(flow_run.id)] = state
    return state


def result(state: State[Any]) -> Any:
    """What the run that ended in `state` gave; an exception when it failed and gave nothing."""
    kept = _ended.pop(state.state_details.flow_run_id, state)
    given = (kept if state.data is None else state).result(raise_on_failure=False)
    return given.given if isinstance(given, RunFailed) else given
