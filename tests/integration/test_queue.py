"""Events from an SQS queue, as moto serves it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from inktally.delivery import Upload
from inktally.errors import BadSettings
from inktally.settings import Settings
from tests.support import messages
from tests.support.forks import Forks
from tests.support.machine import ended
from tests.support.messages import OwnSns
from tests.support.receivers import Recorder
from tests.support.servers import ENVIRONMENT, REGION, S3Server, answers, free_port, process
from tests.support.waiting import eventually, wait_until
from web.hooks.announcing import Announcer
from web.hooks.queue import Pump, Queue, queue_at
from web.meters import Meters


@dataclass
class OwnQueue:
    """A new queue, and the client of those who put messages into it."""

    url: str
    client: Any

    @property
    def arn(self) -> str:
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        return str(attributes["Attributes"]["QueueArn"])

    def send(self, *bodies: Any) -> None:
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.client.send_message(QueueUrl=self.url, MessageBody=text)

    def visible(self) -> int:
        return self._number("ApproximateNumberOfMessages")

    def held(self) -> int:
        return self._number("ApproximateNumberOfMessagesNotVisible")

    def _number(self, name: str) -> int:
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(attributes["Attributes"][name])


@pytest.fixture
def queue(moto: S3Server) -> OwnQueue:
    client = boto3.session.Session().client("sqs", endpoint_url=moto.endpoint, region_name=REGION)
    return OwnQueue(client.create_queue(QueueName=f"test-{uuid4().hex}")["QueueUrl"], client)


def pump(queue: OwnQueue, runs: Recorder, visibility: int = 30) -> Pump:
    meters = Meters()
    return Pump(Queue(queue.url, queue.client, visibility), Announcer(runs, meters, first_retry=0.1), 0.05, meters)


def at_work(pump: Pump, meanwhile: Awaitable[None]) -> None:
    """The pump runs while the other does what it does, and is stopped in the end."""

    async def both() -> None:
        working = asyncio.create_task(pump.run())
        await meanwhile
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    asyncio.run(both())


def test_uploads_are_announced_and_their_messages_deleted(queue: OwnQueue) -> None:
    runs = Recorder()
    signed = OwnSns().notification(messages.s3("input/by topic.png"))
    queue.send(messages.s3("input/a+b ü.png"), signed, messages.eventbridge("input/a+b ü.png"), messages.test_event())
    asyncio.run(pump(queue, runs).turn(1))
    assert sorted(upload.key for upload in runs.uploads) == ["input/a+b ü.png", "input/by topic.png"]
    assert (queue.visible(), queue.held()) == (0, 0)


def test_many_messages_become_few_events(queue: OwnQueue) -> None:
    runs = Recorder()
    queue.send(*(messages.s3(f"input/{n}.png") for n in range(130)))
    for _ in range(2):
        asyncio.run(pump(queue, runs).turn(1))
    assert len({upload.key for upload in runs.uploads}) == 130
    assert len(runs.batches) <= 3
    assert max(map(len, runs.batches)) <= 100
    assert (queue.visible(), queue.held()) == (0, 0)


def test_while_prefect_is_away_messages_are_held_and_then_deleted(queue: OwnQueue) -> None:
    runs = Recorder(away=True)
    queue.send(messages.s3())

    async def meanwhile() -> None:
        for _ in range(8):
            await asyncio.sleep(0.5)
            assert queue.visible() == 0
        assert queue.held() == 1
        runs.away = False
        await asyncio.to_thread(eventually, lambda: (queue.visible(), queue.held()) == (0, 0), seconds=60)

    at_work(pump(queue, runs, visibility=2), meanwhile())
    assert runs.uploads == [Upload(key="input/page.png", store="s3://letters")]


def test_what_is_held_when_we_are_stopped_is_given_back(queue: OwnQueue) -> None:
    queue.send(messages.s3())

    async def meanwhile() -> None:
        while not queue.held():  # noqa: ASYNC110 - moto has no other way to tell
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)

    at_work(pump(queue, Recorder(away=True)), meanwhile())
    assert (queue.visible(), queue.held()) == (1, 0)


def test_what_cannot_be_read_is_left_to_the_redrive_policy(queue: OwnQueue) -> None:
    client = queue.client
    dead = OwnQueue(client.create_queue(QueueName=f"dead-{uuid4().hex}")["QueueUrl"], client)
    policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": "2"}
    client.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": json.dumps(policy)})
    queue.send("Hello", messages.s3())
    runs = Recorder()
    deadline = time.monotonic() + 20
    while not dead.visible() and time.monotonic() < deadline:
        asyncio.run(pump(queue, runs, visibility=1).turn(1))
        time.sleep(1)
    assert (dead.visible(), queue.visible(), queue.held()) == (1, 0, 0)
    assert len(runs.uploads) == 1


def test_a_bucket_itself_rings_through_its_queue(queue: OwnQueue, moto: S3Server) -> None:
    bucket = moto.new_bucket()
    moto.client.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": queue.arn, "Events": ["s3:ObjectCreated:*"]}],
        },
    )
    moto.client.put_object(Bucket=bucket, Key="input/page 1.png", Body=b"x")
    moto.client.put_object(Bucket=bucket, Key="output/page 1.png", Body=b"x")
    runs = Recorder()
    asyncio.run(pump(queue, runs).turn(1))
    assert [(upload.store, upload.key) for upload in runs.uploads] == [(f"s3://{bucket}", "input/page 1.png")]
    assert (queue.visible(), queue.held()) == (0, 0)


def test_the_command_tells_how_it_is_doing_and_gives_back_what_it_holds(queue: OwnQueue, tmp_path: Path) -> None:
    port, nobody = free_port(), "http://127.0.0.1:9/api"
    environment = {
        **ENVIRONMENT,
        "PATH": os.environ["PATH"],
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_API_URL": nobody,
        "INKTALLY_QUEUE_URL": queue.url,
        "INKTALLY_QUEUE_PORT": str(port),
    }
    queue.send(messages.s3(), messages.test_event(), "Hello")
    command = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    with (
        process([*command, sys.executable, "-m", "web.queue"], tmp_path / "log") as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http,
    ):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), server)
        wait_until(lambda: "inktally_prefect_down 1.0" in http.get("/metrics").text, server)
        metrics = http.get("/metrics").text.splitlines()
        expected = {
            "inktally_uploads_waiting 1.0",
            'inktally_uploads_total{what="test message"} 1.0',
            "inktally_dead_letters_total 1.0",
            "inktally_queue_down 0.0",
        }
        assert expected <= set(metrics)
        assert http.get("/healthz").json() == {"status": "up"}
        server.send_signal(signal.SIGINT)
        server.wait(30)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert queue.visible() == 2, "what was held is given back; what cannot be read stays hidden for a while"


def test_the_region_is_that_of_the_queue_s_address() -> None:
    url = "https://sqs.ap-south-1.amazonaws.com/111122223333/pictures"
    opened = queue_at(Settings(queue_url=url, _env_file=None))
    assert opened._client.meta.region_name == "ap-south-1"  # noqa: SLF001
    assert opened._client.meta.endpoint_url == "https://sqs.ap-south-1.amazonaws.com"  # noqa: SLF001


@pytest.mark.parametrize("url", ["", "pictures", "arn:aws:sqs:eu-central-1:111122223333:pictures", "ftp://x/y"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(BadSettings, match="INKTALLY_QUEUE_URL"):
        queue_at(Settings(queue_url=url, _env_file=None))


def test_the_command_says_what_it_needs(forks: Forks) -> None:
    environment = {**ENVIRONMENT, "PATH": os.environ["PATH"], "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = ended(forks.start(["-m", "web.queue"], environment))
    assert (done.status, "INKTALLY_QUEUE_URL" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
