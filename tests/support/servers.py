"""Real servers for tests, as deployments/up describes them. All on the loopback, all gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from botocore.config import Config

from deployments.up import ceph, spark
from deployments.up.checks import http_answers as answers
from deployments.up.home import PORTS, Home, free_port, write_privately
from deployments.up.supervisor import Service, leash
from inktally.settings import Settings
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY, SECRET_KEY, REGION = ceph.ACCESS_KEY, "inktally-test-secret", ceph.REGION
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

ceph_is_installed = ceph.is_installed


@dataclass
class Server:
    """A service of deployments/up that can be killed, and started again where it was."""

    service: Service
    log: Path
    environment: Mapping[str, str] | None = None
    """Besides the service's own; None: that of this process."""
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        environment = {**(os.environ if self.environment is None else self.environment), **self.service.environment}
        started = process([str(word) for word in self.service.command], self.log, environment)
        wait_until(self.service.is_up, self._running.enter_context(started))
        self.service.then()

    def kill(self) -> None:
        self._running.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            self.start()
            yield
        finally:
            self.kill()


@dataclass(frozen=True)
class S3Server:
    """A running server; `name` is ceph or moto. ENVIRONMENT holds its credentials."""

    name: str
    endpoint: str
    gateway: Server | None = None
    """What can be killed without the loss of what is stored."""

    @cached_property
    def client(self) -> S3Client:
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=config,
        )

    def new_bucket(self, *, versioned: bool = False) -> str:
        """The name of a new, empty bucket."""
        client, name = self.client, f"test-{uuid4().hex}"
        client.create_bucket(Bucket=name)
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def settings(self, **others: object) -> Settings:
        return Settings(_env_file=None, **self.in_settings(), **others)

    def in_settings(self) -> dict[str, str]:
        """What settings say of it."""
        return {"s3_endpoint": self.endpoint, "s3_region": REGION}


@dataclass(frozen=True)
class SparkServer:
    """A running Spark Connect server."""

    address: str
    server: Server


@contextmanager
def running_moto() -> Iterator[S3Server]:
    """A moto server: S3, SES, SQS and others. It checks no credentials."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with tempfile.TemporaryDirectory(prefix="moto-") as folder, ExitStack() as stack:
        moto = stack.enter_context(process(command, Path(folder) / "out"))
        endpoint = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(endpoint), moto)
        yield S3Server("moto", endpoint)


@contextmanager
def running_ceph() -> Iterator[S3Server]:
    """A Ceph cluster of one, with its S3 gateway."""
    with new_home("ceph") as home, ExitStack() as stack:
        write_privately(home.folder / "secrets" / "s3", SECRET_KEY)
        cluster = ceph.Ceph(home, hook="", in_memory=True)
        cluster.prepare()
        gateway = replace(cluster.gateway(), then=lambda: None)
        servers = [Server(each, home.log(each.name)) for each in (cluster.monitor(), cluster.disk(), gateway)]
        for server in servers:
            stack.enter_context(server.running())
        cluster.make_user()
        yield S3Server("ceph", cluster.endpoint, servers[-1])


@contextmanager
def new_home(name: str) -> Iterator[Home]:
    """A folder for services of deployments/up, with ports that nobody else uses; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"inktally-{name}-", ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder), ports={each: free_port() for each in PORTS})
        home.folder.chmod(0o711)  # accounts of services have to pass
        for each in ("logs", "secrets"):
            (home.folder / each).mkdir()
        yield home


@contextmanager
def running_spark(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[SparkServer]:
    """A real Spark Connect server, which keeps its files in `folder`."""
    port = free_port()
    server = Server(spark.service(folder, port), folder / "server.log", environment)
    with server.running():
        yield SparkServer(f"sc://127.0.0.1:{port}", server)


@contextmanager
def process(
    command: Sequence[str], out: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is killed at the end of the block, or with the tests themselves where the system can do that."""
    with out.open("ab") as file:
        started = subprocess.Popen([*leash("KILL"), *command], env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()
