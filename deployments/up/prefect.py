"""The Prefect server."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deployments.up.checks import http_answers
from deployments.up.supervisor import Service

PROGRAM = Path(sys.executable).with_name("prefect")


def service(port: int, environment: Mapping[str, str], then: Callable[[], None] = lambda: None) -> Service:
    """`environment` says where it keeps what it knows; nothing: in files of its home, and in its memory."""
    return Service(
        name="prefect",
        command=[PROGRAM, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        environment=environment,
        is_up=lambda: http_answers(f"http://127.0.0.1:{port}/api/health"),
        then=then,
    )
