"""A real Prefect server for tests that need no worker: with the deployments and triggers of prefect.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers import START_SECONDS, answers, free_port, process, wait_until

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class PrefectServer:
    """Where a server listens, and the home where it keeps its database: it can be stopped and started again."""

    home: Path
    port: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        """That of the server, and of programs that talk to it; without any settings of the tester's."""
        ours = ("INKTALLY_", "PREFECT_")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        command = ["env", *(f"{name}={value}" for name, value in self.environment.items())]
        command += ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with process(command, self.home / "server.log") as server:
            wait_until(lambda: answers(f"{self.api}/health"), server)
            yield

    def prefect(self, *arguments: str) -> str:
        """What the command prefect prints."""
        done = subprocess.run(
            ["prefect", "--no-prompt", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"prefect {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def runs(self) -> list[dict[str, Any]]:
        """All flow runs there are."""
        answer = httpx.post(f"{self.api}/flow_runs/filter", json={"limit": 200}, timeout=30)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found


def new_server(home: Path) -> PrefectServer:
    return PrefectServer(home, free_port())
