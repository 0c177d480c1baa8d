"""Find the pictures that no event announced, or whose run did not come to its end, and start runs for them.

The bucket is the queue: whatever stands under input/ without an answer is not done. As a command:
python -m flows.sweep_flow [STORE]. As a deployment: sweep-flow/every-five-minutes.
"""

import sys
from collections.abc import Iterator

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.deployments import run_deployment
from prefect.states import Completed

from inktally.document import Value
from inktally.intake import sweeping
from inktally.text import printable
from tasks import wiring

DEPLOYMENT = "ocr-flow/on-upload"
MOST_SHOWN = 100


class Swept(Value):
    """What a sweep did: how many pictures it looked at, and those it started runs for, with how late they are."""

    looked_at: int
    submitted: tuple[sweeping.Unanswered, ...]


@flow(name="sweep-flow", flow_run_name="sweep", persist_result=False, retries=0)
def sweep_flow(store: str = "", deployment: str = DEPLOYMENT) -> State[Swept]:
    """Start a run for each picture under input/ that should have been answered by now.

    Args:
        store: s3://bucket or a folder; empty: the store of the worker's settings.
        deployment: The deployment whose runs answer uploads.
    """
    found = sweeping.Sweep(wiring.store(store or wiring.settings().store), wiring.settings())
    submitted = tuple(_submitted(found, deployment))
    message = f"{found.looked_at} pictures, {len(submitted)} of them late"
    if submitted:
        rows = [
            {"picture": printable(late.upload.key), "seconds late": round(late.age)} for late in submitted[:MOST_SHOWN]
        ]
        create_table_artifact(rows, key="sweep", description=f"{len(submitted)} pictures that no run had answered")
        message += f", by up to {max(late.age for late in submitted):,.0f} s"
    get_run_logger().info(message)
    return Completed(message=message, data=Swept(looked_at=found.looked_at, submitted=submitted))


def _submitted(found: sweeping.Sweep, deployment: str) -> Iterator[sweeping.Unanswered]:
    for late in found.unanswered():
        submit(late, deployment)
        yield late


@task(name="submit", task_run_name="submit {late.upload.label}", retries=3, retry_delay_seconds=2)
def submit(late: sweeping.Unanswered, deployment: str) -> None:
    """Start a run; the same delivery and attempt twice is one run."""
    run_deployment(
        deployment,
        parameters={"uploads": [late.upload.model_dump(mode="json")]},
        idempotency_key=late.idempotency_key,
        timeout=0,
        as_subflow=False,
    )


if __name__ == "__main__":
    from flows.commands.sweep import main

    sys.exit(main(sweep_flow))
