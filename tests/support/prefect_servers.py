"""A real Prefect server for tests that need no worker: with the deployments and triggers of prefect.yaml."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import yaml

from deployments.up import prefect, redis
from deployments.up.checks import basic
from deployments.up.home import free_port
from deployments.up.postgres import Postgres, programs
from tests.support.forks import Forks
from tests.support.machine import PREFECT_SIGN_IN
from tests.support.servers import Server, new_home
from tests.support.waiting import START_SECONDS

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Deployments:
    """Deployments of prefect.yaml for one test file, on a server that others use too."""

    suffix: str
    """What their names end with, after a hyphen; empty: their names are those of prefect.yaml."""
    pool: str
    entrypoints: Sequence[str] = ()
    """Which; none: all."""
    store: str = "none"
    """The resource whose events start runs."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What their runs have besides the worker's."""

    def own(self) -> dict[str, Any]:
        """The content of a prefect.yaml."""
        told: dict[str, Any] = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
        chosen = [
            each for each in told["deployments"] if each["entrypoint"] in (self.entrypoints or [each["entrypoint"]])
        ]
        for each in chosen:
            each["name"] = "-".join(filter(None, [each["name"], self.suffix]))
            each["work_pool"]["name"] = self.pool
            each["work_pool"]["job_variables"]["env"] |= self.environment
            for trigger in each.get("triggers", []):
                trigger["name"] += f" {self.suffix}"
                trigger["match"] = {"prefect.resource.id": [self.store]}
        return {**told, "deployments": chosen}


@dataclass(frozen=True)
class PrefectServer:
    """Where a server listens, and where it keeps what it knows: it can be stopped and started again."""

    home: Path
    port: int
    database: str = ""
    """The address of its database; empty: SQLite, in its home."""
    messaging: Mapping[str, str] = field(default_factory=dict)
    """The settings that say where its events are; empty: in its memory."""

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
            **prefect.client_environment(self.port, PREFECT_SIGN_IN),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **({"PREFECT_API_DATABASE_CONNECTION_URL": self.database} if self.database else {}),
            **self.messaging,
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        with Server(
            prefect.service(self.port, PREFECT_SIGN_IN, {}), self.home / "server.log", self.environment
        ).running():
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

    def make_pool(self, forks: Forks, name: str, worker: str = "warm-process") -> None:
        """A work pool for workers of this type."""
        self.ask(forks, "work-pool", "create", name, "--type", worker, "--overwrite")

    def deploy(self, forks: Forks, deployments: Deployments) -> None:
        """As `make deploy` does it; the pool is there."""
        file = self.home / f"prefect-{deployments.suffix}.yaml"
        file.write_text(yaml.safe_dump(deployments.own()), encoding="utf-8")
        self.ask(forks, "deploy", "--all", "--prefect-file", str(file))

    def ask(self, forks: Forks, *arguments: str) -> str:
        """What the command prefect prints."""
        return forks.run(["-m", "prefect", "--no-prompt", *arguments], {**self.environment, "COLUMNS": "200"})

    def runs(self, deployment: str = "") -> list[dict[str, Any]]:
        """The flow runs of deployments of this name; without it, all."""
        chosen = {"deployments": {"name": {"any_": [deployment]}}} if deployment else {}
        found: list[dict[str, Any]] = self.asked("/flow_runs/filter", {"limit": 200, **chosen})
        return found

    def asked(self, path: str, body: object) -> Any:
        """What the API answers to a POST."""
        sign_in = basic(PREFECT_SIGN_IN)
        answer = httpx.post(f"{self.api}{path}", json=body, headers=sign_in, timeout=30).raise_for_status()
        return answer.json() if answer.content else None

    def holders_of(self, text: str) -> list[str]:
        """The files of its home and the tables of its PostgreSQL in which a text stands."""
        files = [str(file) for file in self.home.iterdir() if file.is_file() and text.encode() in file.read_bytes()]
        return [*files, *(asyncio.run(_tables_with(text, self.database)) if self.database else [])]


async def _tables_with(text: str, database: str) -> list[str]:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = 'SELECT count(*) FROM "{}" AS each WHERE strpos(each::text, $1) > 0'
        return [table for (table,) in names if await connection.fetchval(rows.format(table), text)]
    finally:
        await connection.close()


def new_server(home: Path, database: str = "", messaging: Mapping[str, str] | None = None) -> PrefectServer:
    return PrefectServer(home, free_port(), database, messaging or {})


@contextmanager
def running_postgres() -> Iterator[str]:
    """The address of a new PostgreSQL, as `make up` runs it; empty where it is not installed or may not run."""
    found = programs()
    with new_home("postgres") as home:
        if found is None or (postgres := Postgres(home, found)).obstacle():
            yield ""
            return
        postgres.prepare()
        with Server(postgres.service(), home.log("postgres")).running():
            yield postgres.url


@contextmanager
def running_redis() -> Iterator[Mapping[str, str]]:
    """A new Redis, as `make up` runs it: what a Prefect server is told of it; nothing where it cannot be had."""
    program = redis.program()
    with new_home("redis") as home:
        if program is None or (found := redis.Redis(home, program)).obstacle():
            yield {}
            return
        found.prepare()
        with Server(found.service(), home.log("redis")).running():
            yield found.environment()
