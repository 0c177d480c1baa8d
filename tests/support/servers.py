"""Real S3 servers for tests: a Ceph cluster of one, and moto. All on the loopback, all gone afterwards."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from inktally.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY, SECRET_KEY, REGION = "inktally-test", "inktally-test-secret", "us-east-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
START_SECONDS = 150
CEPH = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

# One monitor and one storage daemon that keeps all in memory: 1 to 2 s to start. No manager is needed.
CEPH_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
admin socket =
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 0
paxos propose interval = 0.05
paxos min wait = 0.01
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
"""


@dataclass
class Service:
    """A server that can be killed, and started again where it was."""

    command: list[str]
    log: Path
    is_up: Callable[[], bool]
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        wait_until(self.is_up, self._running.enter_context(process(self.command, self.log)))

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
    gateway: Service | None = None
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
        return Settings(s3_endpoint=self.endpoint, s3_region=REGION, _env_file=None, **others)


@dataclass(frozen=True)
class SparkServer:
    """A running Spark Connect server."""

    address: str
    service: Service


def ceph_is_installed() -> bool:
    return all(shutil.which(program) for program in CEPH)


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
    with tempfile.TemporaryDirectory(prefix="ceph-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder, gateway = Path(name), free_port()
        conf = _ceph_conf(folder, gateway)
        stack.enter_context(process(["ceph-mon", *conf, "-i", "a", "-f"], folder / "mon.out"))
        osd = str(uuid4())
        run(["ceph", *conf, "--connect-timeout", "30", "osd", "new", osd])
        run(["ceph-osd", *conf, "--mkfs", "-i", "0", "--osd-uuid", osd])
        stack.enter_context(process(["ceph-osd", *conf, "-i", "0", "-f"], folder / "osd.out"))
        endpoint = f"http://127.0.0.1:{gateway}"
        command = ["radosgw", *conf, "-n", "client.admin", "-f"]
        rgw = Service(command, folder / "rgw.out", lambda: answers(endpoint))
        stack.enter_context(rgw.running())
        user = ["--uid", "test", "--display-name", "Test", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        run(["radosgw-admin", *conf, "user", "create", *user])
        yield S3Server("ceph", endpoint, rgw)


@contextmanager
def running_spark(folder: Path) -> Iterator[SparkServer]:
    """A real Spark Connect server, which keeps its files in `folder`."""
    pyspark = find_spec("pyspark")
    assert pyspark is not None
    assert pyspark.origin is not None
    port = free_port()
    settings = {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.sql.warehouse.dir": str(folder),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir={folder}",
    }
    options = [f"--conf={name}={value}" for name, value in settings.items()]
    service = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    submit = str(Path(pyspark.origin).parent / "bin" / "spark-submit")
    server = Service([submit, *options, *service], folder / "server.log", lambda: listens(port))
    with server.running():
        yield SparkServer(f"sc://127.0.0.1:{port}", server)


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _ceph_conf(folder: Path, gateway: int) -> list[str]:
    """Write configuration, keys and the monitor's store; the options that name them."""
    fsid, mon, keyring = str(uuid4()), free_port(), str(folder / "keyring")
    conf = folder / "ceph.conf"
    conf.write_text(CEPH_CONF.format(fsid=fsid, mon=mon, gateway=gateway, folder=folder))
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    run(["ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"])
    for user in ("client.admin", "osd.0"):
        run(["ceph-authtool", keyring, "--gen-key", "-n", user, "--cap", "mon", "allow *", "--cap", "osd", "allow *"])
    monmap = str(folder / "monmap")
    run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon}/0]", monmap])
    run(["ceph-mon", "-c", str(conf), "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring])
    return ["-c", str(conf)]


@contextmanager
def process(command: list[str], out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is killed at the end of the block, or with the tests themselves where the system can do that."""
    leash = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    with out.open("ab") as file:
        started = subprocess.Popen([*leash, *command], stdout=file, stderr=subprocess.STDOUT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    return done.stdout


def wait_until(ready: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        dead = [server.args for server in processes if server.poll() is not None]
        if dead or time.monotonic() > deadline:
            raise RuntimeError(f"no server: {dead or 'it did not answer in time'}")
        time.sleep(0.05)


def answers(endpoint: str) -> bool:
    try:
        with urlopen(endpoint, timeout=5):  # noqa: S310 - our own server
            return True
    except HTTPError:
        return True
    except OSError:
        return False


def free_port() -> int:
    """A port that no client is given by chance meanwhile: below those the system hands out."""
    while True:
        port = random.randint(15_000, 32_000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[None]:
    """boto3's own environment variables, for stores that are built from settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def moto(s3_environment: None) -> Iterator[S3Server]:  # noqa: ARG001
    with running_moto() as server:
        yield server


@pytest.fixture(scope="session")
def ceph(s3_environment: None) -> Iterator[S3Server]:  # noqa: ARG001
    """Skips where Ceph is not installed; `s3` falls back to moto."""
    if not ceph_is_installed():
        pytest.skip("Ceph is not installed (ceph-mon ceph-osd radosgw ceph-common)")
    with running_ceph() as server:
        yield server


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> S3Server:
    """The best S3 server there is: Ceph, else moto."""
    server: S3Server = request.getfixturevalue("ceph" if ceph_is_installed() else "moto")
    return server
