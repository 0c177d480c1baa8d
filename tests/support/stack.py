"""All of Inktally at work, from the bucket to the mail: for the fault suite and for the benchmarks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import boto3
import httpx
import psutil
from aiosmtpd.controller import Controller
from botocore.exceptions import BotoCoreError

from tests.support.forks import Forked, Forks
from tests.support.machine import PROJECT, Machine, new_machine
from tests.support.mailbox import Mailbox
from tests.support.messages import s3_record
from tests.support.prefect_servers import Deployments, PrefectServer, new_server, running_postgres
from tests.support.servers import (
    ACCESS_KEY,
    ENVIRONMENT,
    REGION,
    SECRET_KEY,
    S3Server,
    SparkServer,
    answers,
    ceph_is_installed,
    free_port,
    running_ceph,
    running_moto,
    running_spark,
)
from tests.support.waiting import START_SECONDS, wait_until

SECRET = "a secret of this stack"
WORKER = os.environ.get("WORKER", "warm-process")
DOMAIN = "example.org"
OWN_STORE = "inktally.store"
ONLY_INPUT = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "input/"}]}}


@dataclass(frozen=True)
class Put:
    """A picture that was put into the bucket, and when (time.monotonic)."""

    key: str
    to: str
    etag: str
    version: str
    moment: float


@dataclass(frozen=True)
class Shared:
    """A Prefect server and its worker that several stacks share: the worker's pool, and where commands start."""

    prefect: PrefectServer
    pool: str
    forks: Forks


@dataclass
class Stack:
    """Everything that runs, and what may be done to it."""

    machine: Machine
    s3: S3Server
    bucket: str
    prefect: PrefectServer
    mailbox: Mailbox
    receiver_port: int
    prefect_running: ExitStack
    shared: Shared | None = None
    servers: dict[str, subprocess.Popen[bytes] | Forked] = field(default_factory=dict)

    @property
    def hook(self) -> str:
        return f"http://127.0.0.1:{self.receiver_port}/hooks/s3"

    def put(self, name: str, content: bytes) -> Put:
        """Upload a picture of an uploader of its own."""
        key, to = f"input/{name}.png", f"{name}@{DOMAIN}"
        begun = time.monotonic()
        done = self.s3.client.put_object(Bucket=self.bucket, Key=key, Body=content, Metadata={"email": to})
        return Put(key, to, done["ETag"].strip('"'), done.get("VersionId", ""), begun)

    def deliver(self, *puts: Put) -> bool:
        """Tell the receiver of pictures as Ceph does; whether it has taken the message."""
        details = {"sender": "ceph:s3", "bucket": self.bucket}
        records = [s3_record(put.key, etag=put.etag, versionId=put.version, **details) for put in puts]
        headers = {"X-Inktally-Secret": SECRET}
        try:
            answer = httpx.post(self.hook, json={"Records": records}, headers=headers, timeout=10)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def connect(self) -> None:
        """Have the bucket itself tell the receiver of pictures, where it can: moto cannot, and `upload` does it."""
        if self.s3.name != "ceph":
            return
        hook = f"{self.hook}?{urlencode({'secret': SECRET})}"
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": REGION}
        sns = boto3.session.Session(**keys).client("sns", endpoint_url=self.s3.endpoint)
        topic = sns.create_topic(Name=self.bucket, Attributes={"push-endpoint": hook})["TopicArn"]
        told = {"Id": "pictures", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"], "Filter": ONLY_INPUT}
        self.s3.client.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"TopicConfigurations": [told]}
        )

    def upload(self, name: str, content: bytes) -> Put:
        """Put a picture into a connected bucket."""
        put = self.put(name, content)
        if self.s3.name != "ceph":
            self.deliver(put)
        return put

    def wait_for_mails(self, puts: Sequence[Put], seconds: float) -> None:
        """Until all have come, or the time is over."""
        end = time.monotonic() + seconds
        while {put.to for put in puts} - set(self.mailbox.moments()) and time.monotonic() < end:
            time.sleep(0.02)

    def keys(self, prefix: str) -> list[str]:
        """What stands in the bucket; waits for a store that is away."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                pages = self.s3.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
                return [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            except BotoCoreError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def recognitions(self) -> list[str]:
        """Artefacts of recognitions, not those of counts."""
        return [key for key in self.keys("recognitions/") if ".counts." not in key]

    def start_receiver(self) -> None:
        self.servers["receiver"] = self._start("receiver", sys.executable, "-m", "web")
        wait_until(lambda: answers(self.hook.replace("hooks/s3", "healthz")), self.servers["receiver"])

    def start_site(self) -> None:
        self.servers["site"] = self._start("site", sys.executable, "-m", "web.site")
        wait_until(lambda: answers(f"{self.site}/healthz"), self.servers["site"])

    def start_watch(self) -> None:
        """Pictures dropped into a folder store are announced."""
        self.servers["watch"] = self._start("watch", sys.executable, "-m", "web.watch")

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.machine.environment['INKTALLY_SITE_PORT']}"

    def start_worker(self) -> None:
        command = ["prefect", "worker", "start", "--pool", "inktally", "--type", WORKER]
        log = self.machine.folder / "worker.log"
        begun = log.stat().st_size if log.exists() else 0
        self.servers["worker"] = self._start("worker", *command)
        wait_until(lambda: b"started!" in log.read_bytes()[begun:], self.servers["worker"])

    def kill(self, name: str) -> None:
        self.servers[name].kill()
        self.servers[name].wait()

    def kill_prefect(self) -> None:
        self.prefect_running.close()

    def start_prefect(self) -> None:
        self.prefect_running.enter_context(self.prefect.running())

    def start_sweep(self) -> subprocess.Popen[bytes]:
        return self._start("sweep", sys.executable, "-m", "flows.sweep_flow")

    def run_pids(self) -> list[int]:
        """The processes of flow runs of uploads that are at work, the oldest first."""
        try:
            flow_runs = sorted(self.prefect.runs(), key=lambda each: each["created"])
        except httpx.HTTPError:  # it is away, or SQLite is locked
            return []
        pids = [each["infrastructure_pid"] for each in flow_runs if each["state_type"] == "RUNNING"]
        return [int(pid.rpartition(":")[2]) for pid in pids if pid and psutil.pid_exists(int(pid.rpartition(":")[2]))]

    def forkserver_pids(self) -> list[int]:
        """The warm worker's processes that runs are forked from."""
        with suppress(psutil.Error):
            children = psutil.Process(self.servers["worker"].pid).children()
            return [each.pid for each in children if "deployments.warm.forkserver" in each.cmdline()]
        return []

    def prepare(self) -> None:
        """Make the work pool and the deployments."""
        self._do("prefect", "work-pool", "create", "inktally", "--type", WORKER)
        self._do("prefect", "--no-prompt", "deploy", "--all")

    def share(self, shared: Shared) -> None:
        """Make a deployment of our own, which the worker of all runs as one of this machine."""
        own = self.machine.settings_of_runs()
        store = own["INKTALLY_STORE"] if own["INKTALLY_STORE"].startswith("s3://") else OWN_STORE
        uploads = Deployments(self.bucket, shared.pool, ["flows/ocr_flow.py:ocr_flow"], store, own)
        self.prefect.deploy(shared.forks, uploads)

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes] | Forked:
        if self.shared:
            return self.shared.forks.start(
                command[1:], self.machine.environment, log=self.machine.folder / f"{name}.log"
            )
        with (self.machine.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=PROJECT, env=self.machine.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def _do(self, *command: str) -> None:
        subprocess.run(
            command, cwd=PROJECT, env=self.machine.environment, check=True, capture_output=True, timeout=START_SECONDS
        )


@contextmanager
def new_stack(
    folder: Path, s3: S3Server, spark: str, shared: Shared | None = None, **settings: object
) -> Iterator[Stack]:
    """A stack with a bucket, a Prefect server, a receiver and a worker of its own; `settings` are INKTALLY_…

    `spark` is the address of a Spark Connect server. With `shared`, server and worker are those of others too.
    """
    with ExitStack() as stack:
        for name in ("prefect", "scratch"):
            (folder / name).mkdir(parents=True)
        prefect_running = stack.enter_context(ExitStack())
        if shared:
            prefect = shared.prefect
        else:
            prefect = new_server(folder / "prefect", stack.enter_context(running_postgres()))
            prefect_running.enter_context(prefect.running())
        mailbox, smtp, port = Mailbox(), free_port(), free_port()
        controller = Controller(mailbox, hostname="127.0.0.1", port=smtp)
        controller.start()
        stack.callback(controller.stop)
        bucket = s3.new_bucket(versioned=True)
        own = {
            "store": f"s3://{bucket}",
            "s3_endpoint": s3.endpoint,
            "s3_region": REGION,
            "spark_remote": spark,
            "notifier": "smtp",
            "smtp_port": smtp,
            "hook_secret": SECRET,
            "web_port": port,
            "cache": folder / "cache",
            "dead_letters": folder / "dead-letters",
            "site_port": free_port(),
            "scratch": folder / "scratch",
            **settings,
        }
        environment = {f"INKTALLY_{name.upper()}": str(value) for name, value in own.items()}
        servers = {"PREFECT_API_URL": prefect.api, **ENVIRONMENT}
        machine = stack.enter_context(new_machine(folder / "machine", **servers, **environment))
        made = Stack(machine, s3, bucket, prefect, mailbox, port, prefect_running, shared)
        stack.callback(_end, made)
        if shared:
            made.share(shared)
            made.start_receiver()
        else:
            made.prepare()
            made.start_receiver()
            made.start_worker()
        yield made


@contextmanager
def own_servers(folder: Path) -> Iterator[tuple[S3Server, SparkServer]]:
    """The best S3 server there is, and a Spark Connect server, for those who have no fixtures."""
    (folder / "spark").mkdir(parents=True)
    with running_ceph() if ceph_is_installed() else running_moto() as s3, running_spark(folder / "spark") as spark:
        yield s3, spark


def kill_run(pid: int) -> None:
    """End a run's process, as a machine that is out of memory does; what it has started goes with it."""
    with suppress(psutil.Error):
        doomed = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
        for each in reversed(doomed):
            with suppress(psutil.Error):
                each.send_signal(signal.SIGKILL)


def _end(stack: Stack) -> None:
    for server in stack.servers.values():
        server.kill()
        server.wait()
