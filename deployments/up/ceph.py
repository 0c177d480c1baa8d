"""Ceph as the S3 store, where it is installed: one monitor, one storage daemon that keeps its data, and the gateway."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from deployments.up.checks import http_answers, port_answers
from deployments.up.home import CannotRun, Home, write_privately
from deployments.up.supervisor import Service

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
BUCKET, ACCESS_KEY, REGION = "inktally", "inktally", "us-east-1"
DISK_BYTES, MEMORY_BYTES = 100 * 2**30, 2 * 2**30  # at most; the disk's file has holes, and takes what the objects take
TOPIC = "inktally-pictures"

# No manager: nobody looks at statistics. The intervals of Paxos are those of a cluster of one.
CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
admin socket =
log file = {logs}/$name.log
mon cluster log file = {logs}/cluster.log
keyring = {folder}/keyring
mon data = {folder}/mon
mon data avail warn = 1
mon data avail crit = 0
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = {folder}/osd
osd crush chooseleaf type = 0
osd mon shutdown timeout = 1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
{disk}
rgw data = {folder}/rgw
rgw thread pool size = 64
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
"""
ON_DISK = """\
osd objectstore = bluestore
bluestore block size = {bytes}
bluestore cache autotune = false
bluestore cache size = 67108864
"""
IN_MEMORY = """\
osd objectstore = memstore
memstore device bytes = {bytes}
"""


def is_installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


@dataclass(frozen=True)
class Ceph:
    """A cluster of one, below the home, whose bucket rings the receiver at `hook`.

    `in_memory`: it starts sooner, and forgets its objects when its storage daemon ends.
    """

    home: Home
    hook: str
    in_memory: bool = False

    @property
    def folder(self) -> Path:
        return self.home.folder / "ceph"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.home.port('s3')}"

    @property
    def _options(self) -> list[str]:
        return ["-c", str(self.folder / "ceph.conf")]

    def environment(self) -> dict[str, str]:
        """With which boto3, the aws command and Inktally find the store."""
        credentials = self.home.folder / "aws"
        return {
            "INKTALLY_STORE": f"s3://{BUCKET}",
            "INKTALLY_S3_ENDPOINT": self.endpoint,
            "INKTALLY_S3_REGION": REGION,
            "AWS_CONFIG_FILE": str(credentials),
            "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def prepare(self) -> None:
        """Write what clients and daemons read, and at the first start make the keys and the monitor's store."""
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        keys = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {self.home.secret('s3')}\n"
        how = f"region = {REGION}\nendpoint_url = {self.endpoint}\ns3 =\n  addressing_style = path\n"
        write_privately(self.home.folder / "aws", f"[default]\n{keys}{how}")
        self._configure()
        self._make_keys()
        self._make_monitor()

    def _configure(self) -> None:
        text = CONFIGURATION.format(
            fsid=self._id("fsid"),
            mon=self.home.port("ceph-mon"),
            gateway=self.home.port("s3"),
            folder=self.folder,
            logs=self.home.folder / "logs",
            disk=IN_MEMORY.format(bytes=MEMORY_BYTES) if self.in_memory else ON_DISK.format(bytes=DISK_BYTES),
        )
        (self.folder / "ceph.conf").write_text(text, encoding="utf-8")

    def _make_keys(self) -> None:
        keyring, part = self.folder / "keyring", str(self.folder / "keyring.part")
        if keyring.exists():
            return
        _run("ceph-authtool", "--create-keyring", part, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for user in ("client.admin", "osd.0"):
            _run("ceph-authtool", part, "--gen-key", "-n", user, "--cap", "mon", "allow *", "--cap", "osd", "allow *")
        Path(part).rename(keyring)

    def _make_monitor(self) -> None:
        """The monitor keeps its own address, so when that has changed it is told."""
        made, address = self.folder / "monitor-made", f"[v2:127.0.0.1:{self.home.port('ceph-mon')}/0]"
        if made.exists() and made.read_text() == address:
            return
        monmap, keyring = str(self.folder / "monmap"), str(self.folder / "keyring")
        _run("monmaptool", "--create", "--clobber", "--fsid", self._id("fsid"), "--addv", "a", address, monmap)
        if made.exists():
            _run("ceph-mon", *self._options, "-i", "a", "--inject-monmap", monmap)
        else:
            _emptied(self.folder / "mon")
            _run("ceph-mon", *self._options, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        made.write_text(address)

    def monitor(self) -> Service:
        port = self.home.port("ceph-mon")
        return Service(
            name="ceph-mon",
            command=["ceph-mon", *self._options, "-i", "a", "-f"],
            is_up=lambda: port_answers(port),
            then=self._make_disk,
        )

    def _make_disk(self) -> None:
        """Once; the monitor is up."""
        made = self.folder / "disk-made"
        if made.exists():
            return
        _run("ceph", *self._options, "--connect-timeout", "30", "osd", "new", self._id("osd"))
        _emptied(self.folder / "osd")
        _run("ceph-osd", *self._options, "--mkfs", "-i", "0", "--osd-uuid", self._id("osd"))
        made.touch()

    def disk(self) -> Service:
        """Whether it is up is seen when the gateway is."""
        return Service(name="ceph-osd", command=["ceph-osd", *self._options, "-i", "0", "-f"], is_up=lambda: True)

    def gateway(self) -> Service:
        return Service(
            name="radosgw",
            command=["radosgw", *self._options, "-n", "client.admin", "-f"],
            is_up=lambda: http_answers(self.endpoint),
            then=self._make_bucket,
        )

    def _make_bucket(self) -> None:
        """Make user and bucket where there are none yet, and have the bucket ring the receiver, wherever it is now.

        At once and without a queue: the gateway looks at its queues after up to 90 seconds when it has been restarted.
        """
        try:
            self._client("s3").create_bucket(Bucket=BUCKET)
        except ClientError as error:
            if error.response["Error"].get("Code") not in {"InvalidAccessKeyId", "NoSuchUser", "AccessDenied"}:
                raise
            self.make_user()
            self._client("s3").create_bucket(Bucket=BUCKET)
        s3 = self._client("s3")
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        topic = self._client("sns").create_topic(Name=TOPIC, Attributes={"push-endpoint": self.hook})["TopicArn"]
        only_input = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "input/"}]}}
        notification = {"Id": TOPIC, "TopicArn": topic, "Events": ["s3:ObjectCreated:*"], "Filter": only_input}
        site = f"http://127.0.0.1:{self.home.port('site')}"
        page = {"AllowedOrigins": [site], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"]}
        s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [page]})  # it has browsers post pictures here
        s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"TopicConfigurations": [notification]}
        )

    def make_user(self) -> None:
        """The keys go by the environment, which only we may read; arguments everybody may."""
        keys = {"CEPH_ARGS": f"--access-key={ACCESS_KEY} --secret-key={self.home.secret('s3')}"}
        user = ["user", "create", "--uid", BUCKET, "--display-name", BUCKET]
        _run("radosgw-admin", *self._options, *user, environment=keys)

    def _client(self, service: str) -> Any:
        session: Any = boto3.session.Session(ACCESS_KEY, self.home.secret("s3"), region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint, config=Config(s3={"addressing_style": "path"}))

    def _id(self, name: str) -> str:
        path = self.folder / f"{name}.id"
        if not path.exists():
            write_privately(path, str(uuid4()))
        return path.read_text()


def _emptied(folder: Path) -> None:
    """What an interrupted first start has left is in the way of the next."""
    shutil.rmtree(folder)
    folder.mkdir()


def _run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=variables)
    if done.returncode:
        raise CannotRun(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
