"""Automations that make failures speak, through a notification block of the Prefect server.

python -m deployments.automations BLOCK-TYPE/NAME, for example slack-webhook/inktally; may be repeated at will.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.automations import (
    AutomationCore,
    ChangeFlowRunState,
    EventTrigger,
    Posture,
    ResourceSpecification,
    SendNotification,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

POOL = "inktally"
FLOW_RUNS = ResourceSpecification(root={"prefect.resource.id": "prefect.flow-run.*"})
OURS = ResourceSpecification(root={"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.inktally"})
ENDED = {
    f"prefect.flow-run.{state}" for state in ("Completed", "Rejected", "NothingToDo", "Failed", "Crashed", "Cancelled")
}
STUCK_AFTER = timedelta(minutes=5)
SILENT_AFTER = timedelta(minutes=9)  # three heartbeats of a run, of three minutes each

RUN = "{{ flow_run.name }}: {{ flow_run.state.message or flow_run.state.name }}\n{{ (flow_run | ui_url) or '' }}"


def automations(block: UUID) -> list[AutomationCore]:
    """What to watch for, and whom to tell: the notification block of this id."""

    def told(name: str, subject: str, body: str, trigger: EventTrigger, *more: Any) -> AutomationCore:
        tell = SendNotification(block_document_id=block, subject=subject, body=body)
        return AutomationCore(name=f"Inktally: {name}", trigger=trigger, actions=[*more, tell])

    return [
        told("a run failed", "Inktally: a run failed", RUN, _runs({"prefect.flow-run.Failed"})),
        told("a run crashed", "Inktally: a run crashed", RUN, _runs({"prefect.flow-run.Crashed"})),
        told(
            "a run does not start",
            "Inktally: a run does not start",
            f"{RUN}\nIs a worker of the pool {POOL} running?",
            _runs({"prefect.flow-run.Pending", *ENDED}, after={"prefect.flow-run.Late"}, within=STUCK_AFTER),
        ),
        told(
            "a run has fallen silent",
            "Inktally: a run has fallen silent",
            RUN,
            _runs({"prefect.flow-run.heartbeat", *ENDED}, after={"prefect.flow-run.heartbeat"}, within=SILENT_AFTER),
            ChangeFlowRunState(
                state=StateType.CRASHED, name="Crashed", message="Its process has fallen silent.", force=True
            ),
        ),
        told(
            "the workers have gone",
            "Inktally: the workers have gone",
            f"No worker polls the pool {POOL}; uploads wait until one does.",
            EventTrigger(
                expect={"prefect.work-pool.not-ready"},
                match=ResourceSpecification(root={"prefect.resource.name": POOL}),
                posture=Posture.Reactive,
                threshold=1,
            ),
        ),
    ]


def _runs(expect: set[str], *, after: set[str] | None = None, within: timedelta = timedelta(0)) -> EventTrigger:
    """Our runs' events; with `after`, that none of `expect` has come within that time."""
    return EventTrigger(
        expect=expect,
        after=after or set(),
        match=FLOW_RUNS,
        match_related=OURS,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive if after else Posture.Reactive,
        threshold=1,
        within=within,
    )


def register(slug: str) -> list[str]:
    """Make the automations on the configured server, or bring them up to date; their names."""
    block_type, _, name = slug.partition("/")
    with get_client(sync_client=True) as client:
        block = client.read_block_document_by_name(name, block_type)
        standing = {found.name: found.id for found in client.read_automations()}
        for wanted in automations(block.id):
            if wanted.name in standing:
                client.update_automation(standing[wanted.name], wanted)
            else:
                client.create_automation(wanted)
    return [wanted.name for wanted in automations(block.id)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.automations", description=register.__doc__)
    parser.add_argument("block", metavar="BLOCK-TYPE/NAME", help="for example slack-webhook/inktally")
    slug = parser.parse_args(argv).block
    try:
        sys.stdout.writelines(f"{name}\n" for name in register(slug))
    except ObjectNotFound:
        sys.stderr.write(f"There is no block {slug}; make one in Prefect's UI, under Blocks.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
