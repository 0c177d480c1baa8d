"""Which services there are on this machine, and what they are told of each other."""

import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from deployments.up import ceph, postgres, prefect, redis, spark
from deployments.up.checks import http_answers, posted
from deployments.up.home import CannotRun, Home, environment
from deployments.up.supervisor import PROJECT, Service, Stages, leash

POOL = "inktally"
DEPLOY_SECONDS = 120

S = TypeVar("S", postgres.Postgres, redis.Redis)


class Stack:
    """All services of one home.

    `store` is "ceph", "folder", or empty: as it was, else the best there is; `worker` a type of Prefect's workers; `to`
    whom dropped pictures are answered.
    """

    def __init__(self, home: Home, store: str, worker: str, to: str) -> None:
        self.home = home
        self.worker = worker
        self.to = to
        self.hook = f"http://127.0.0.1:{home.port('receiver')}/hooks/s3"
        self.ceph = ceph.Ceph(home, f"{self.hook}?secret={home.secret('hook')}") if self._takes_ceph(store) else None
        self.postgres = self._find_postgres()
        self.redis = self._find_redis()

    def _takes_ceph(self, store: str) -> bool:
        """Raises `CannotRun` where the store that is wanted is not the one that the home has, or cannot be had."""
        stands = next((name for name in ("ceph", "store") if (self.home.folder / name).exists()), "")
        kept = "folder" if stands == "store" else stands
        if store and kept and store != kept:
            raise CannotRun(f"{self.home.folder} has a store already, of the kind {kept}; name another with UP=FOLDER.")
        taken = store or kept or ("ceph" if ceph.is_installed() else "folder")
        if taken == "ceph" and not ceph.is_installed():
            raise CannotRun(f"Ceph is not installed (Debian: {', '.join(ceph.PROGRAMS)}).")
        return taken == "ceph"

    def _find_postgres(self) -> postgres.Postgres | None:
        """None where SQLite has to do, or did before. Raises `CannotRun` when there are data and no programs."""
        programs, stands = postgres.programs(), (self.home.folder / "postgres" / "data").exists()
        if (self.home.folder / "prefect" / "prefect.db").exists() and not stands:
            return None
        if programs is None:
            if stands:
                raise CannotRun(f"{self.home.folder} has a database of PostgreSQL, which is not installed any more.")
            return None
        return self._usable(postgres.Postgres(self.home, programs), "Prefect uses SQLite.")

    def _find_redis(self) -> redis.Redis | None:
        """None where the Prefect server has to keep its events in memory."""
        program = redis.program()
        return self._usable(redis.Redis(self.home, program), "Prefect keeps its events in memory.") if program else None

    def _usable(self, found: S, otherwise: str) -> S | None:
        """None, and a notice, where something is in its way."""
        if obstacle := found.obstacle():
            self.home.notices.append(f"{obstacle}; {otherwise}")
            return None
        return found

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.home.port('prefect')}"

    @property
    def inbox(self) -> str:
        return f"http://127.0.0.1:{self.home.port('inbox')}"

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.home.port('site')}"

    @property
    def pictures(self) -> str:
        return f"s3://{ceph.BUCKET}/input/" if self.ceph else f"{self.home.folder / 'store' / 'input'}/"

    def environment(self) -> dict[str, str]:
        """What a program has to know to speak to all of them."""
        folder = self.home.folder
        store = self.ceph.environment() if self.ceph else {"INKTALLY_STORE": str(folder / "store")}
        return {
            "PREFECT_HOME": str(folder / "prefect"),
            **prefect.client_environment(self.home.port("prefect"), prefect.sign_in(self.home)),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # Spark's server and its clients read it; its clients send it without TLS to this very name only
            "SPARK_CONNECT_AUTHENTICATE_TOKEN": self.home.secret("spark"),
            "INKTALLY_SPARK_REMOTE": f"sc://localhost:{self.home.port('spark')}",
            "SPARK_CONNECT_MODE_ENABLED": "1",
            "INKTALLY_NOTIFIER": "folder",
            "INKTALLY_MAIL_FOLDER": str(folder / "mail"),
            "INKTALLY_DEAD_LETTERS": str(folder / "dead-letters"),
            "INKTALLY_CACHE": str(folder / "cache"),
            "INKTALLY_SCRATCH": str(folder / "scratch"),
            "INKTALLY_WEB_HOST": "127.0.0.1",
            "INKTALLY_WEB_PORT": str(self.home.port("receiver")),
            "INKTALLY_HOOK_SECRET": self.home.secret("hook"),
            "INKTALLY_INBOX_PASSWORD": self.home.secret("inbox"),
            "INKTALLY_SITE_HOST": "127.0.0.1",
            "INKTALLY_SITE_PORT": str(self.home.port("site")),
            "INKTALLY_SITE_URL": f"http://127.0.0.1:{self.home.port('site')}",
            "INKTALLY_SITE_SECRET": self.home.secret("site"),
            **store,
        }

    def prepare(self) -> None:
        """Make what the services find at their start. Raises `CannotRun`."""
        for name in ("mail", "scratch", "prefect", "spark", *([] if self.ceph else ["store/input"])):
            (self.home.folder / name).mkdir(parents=True, exist_ok=True)
        data: list[postgres.Postgres | redis.Redis | ceph.Ceph | None] = [self.postgres, self.redis, self.ceph]
        for found in data:
            if found:
                found.prepare()
        self.home.write_environment(self.environment())

    def stages(self) -> Stages:
        """In each stage those come last that take longest."""
        data = [each.service() for each in (self.postgres, self.redis) if each]
        data += [self.ceph.monitor()] if self.ceph else []
        disk, gateway = ([self.ceph.disk()], [self.ceph.gateway()]) if self.ceph else ([], [])
        port = str(self.home.port("inbox"))
        inbox = _program("inbox", "web.inbox", "--port", port, answers=self.inbox)
        receiver = _program("receiver", "web", answers=self.hook.replace("/hooks/s3", "/healthz"))
        spark_server = spark.service(self.home.folder / "spark", self.home.port("spark"), then=self._warm_spark)
        servers = [inbox, receiver, *gateway, spark_server, self._prefect()]
        site = _program("site", "web.site", answers=f"{self.site}/healthz")
        watch = [] if self.ceph else [_program("watch", "web.watch", "--to", self.to)]
        work = [site, self._worker(), *watch]
        stages = {"data": data, "disk": disk, "servers": servers, "work": work}
        return {name: services for name, services in stages.items() if services}

    def _prefect(self) -> Service:
        database = {"PREFECT_API_DATABASE_CONNECTION_URL": self.postgres.url} if self.postgres else {}
        events = self.redis.environment() if self.redis else {}
        port, secret = self.home.port("prefect"), prefect.sign_in(self.home)
        return prefect.service(port, secret, {**database, **events}, then=self._deploy)

    def _deploy(self) -> None:
        """As users do it. Raises `CannotRun`."""
        log = self.home.log("deploy")
        with log.open("wb") as file:
            done = subprocess.run(
                ["make", "--no-print-directory", "deploy", f"WORKER={self.worker}"],
                cwd=PROJECT,
                env=environment(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=DEPLOY_SECONDS,
                check=False,
            )
        if done.returncode:
            raise CannotRun(f"`make deploy` failed; its log is {log}")

    def _warm_spark(self) -> None:
        """Its first job takes seconds. Have it done before there is a picture, and do not wait."""
        with self.home.log("first-job").open("wb") as log:
            subprocess.Popen(
                [*leash("KILL"), sys.executable, "-m", "deployments.up.first_job"],
                cwd=PROJECT,
                env=environment(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _worker(self) -> Service:
        options: list[str | Path] = ["--pool", POOL, "--type", self.worker, "--name", "up"]
        command: list[str | Path] = [prefect.PROGRAM, "worker", "start", *options]
        return Service("worker", command, is_up=partial(self._worker_polls, datetime.now(UTC).isoformat()))

    def _worker_polls(self, since: str) -> bool:
        workers = posted(f"{self.prefect}/api/work_pools/{POOL}/workers/filter", {}, prefect.sign_in(self.home))
        return any((worker["last_heartbeat_time"] or "") > since for worker in workers or [])


def _program(name: str, module: str, *options: str, answers: str = "") -> Service:
    """A program of ours, which is up when that address answers; at once, without one."""
    return Service(name, [sys.executable, "-m", module, *options], is_up=lambda: not answers or http_answers(answers))
