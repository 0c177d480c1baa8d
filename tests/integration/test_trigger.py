"""From a message to a run of ocr-flow/on-upload, with a real Prefect server and the triggers of prefect.yaml."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.up import redis
from inktally.intake import events
from tests.support import messages
from tests.support.forks import Forks
from tests.support.machine import ended
from tests.support.prefect_servers import Deployments, PrefectServer, new_server, running_redis
from tests.support.receivers import running_web
from tests.support.waiting import wait_until
from web.hooks.trigger import event_of

Upload = dict[str, str]
NAME = "on-upload-trigger"


@pytest.fixture(scope="module")
def deployed(prefect: PrefectServer, forks: Forks) -> PrefectServer:
    """A server that knows the deployment; no worker, so runs are made and wait."""
    uploads = Deployments("trigger", NAME, ["flows/ocr_flow.py:ocr_flow"], f"s3://{messages.BUCKET}")
    prefect.make_pool(forks, uploads.pool, "process")
    prefect.deploy(forks, uploads)
    return prefect


@pytest.fixture(scope="module")
def receiver(deployed: PrefectServer, forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_web(deployed, tmp_path_factory.mktemp("web"), forks) as client:
        yield client


def uploads_of(prefect: PrefectServer, prefix: str, deployment: str = NAME) -> list[list[Upload]]:
    """The uploads of each run whose first picture has a key that begins so."""
    parameters: list[dict[str, Any]] = [run["parameters"] for run in prefect.runs(deployment)]
    assert all(isinstance(each["uploads"], list) for each in parameters), "a list must not become a string"
    return [each["uploads"] for each in parameters if each["uploads"][0]["key"].startswith(prefix)]


def keys_of(prefect: PrefectServer, prefix: str) -> list[str]:
    """The same as one list of keys, of the deployment of prefect.yaml itself."""
    return [each["key"] for run in uploads_of(prefect, prefix, "on-upload") for each in run]


def soon(found: Callable[[], list[Any]], number: int, seconds: float = 90) -> list[Any]:
    end = time.monotonic() + seconds
    while len(found()) < number and time.monotonic() < end:
        time.sleep(0.02)
    return found()


def test_one_upload_starts_one_run_with_a_list_of_one(deployed: PrefectServer, receiver: httpx.Client) -> None:
    key = 'input/one/"quoted" <b> {{ 7 * 7 }} ü+%20.png'
    begun = time.monotonic()
    assert receiver.post("/hooks/s3", json=messages.s3(key, versionId="v1")).status_code == 202
    runs = soon(lambda: uploads_of(deployed, "input/one/"), 1)
    seconds = time.monotonic() - begun
    assert runs == [[{"key": key, "store": "s3://letters", "version": "v1"}]]
    assert seconds < 5, "a single upload starts at once"
    print(f"from the message to the run: {seconds:.2f} s")  # noqa: T201 - shown by pytest -s


def test_a_burst_becomes_few_runs_and_none_is_lost(deployed: PrefectServer, receiver: httpx.Client) -> None:
    for n in range(150):
        assert receiver.post("/hooks/s3", json=messages.ceph(f"input/burst/{n}.png")).status_code == 202
    soon(lambda: [each for run in uploads_of(deployed, "input/burst/") for each in run], 150)
    runs = uploads_of(deployed, "input/burst/")
    assert sorted(each["key"] for run in runs for each in run) == sorted(f"input/burst/{n}.png" for n in range(150))
    assert len(runs) <= 10
    assert max(map(len, runs)) <= 100


def test_the_same_event_from_two_receivers_is_one_run(
    deployed: PrefectServer, receiver: httpx.Client, forks: Forks, tmp_path: Path
) -> None:
    message = messages.eventbridge("input/twice/page.png")
    with running_web(deployed, tmp_path, forks) as other:
        for client in (receiver, other):
            assert client.post("/hooks/s3", json=message).json() == {"accepted": 1, "repeated": 0}
        soon(lambda: uploads_of(deployed, "input/twice/"), 1)
        time.sleep(1)
    assert len(uploads_of(deployed, "input/twice/")) == 1


def test_objects_that_are_no_pictures_start_no_run(deployed: PrefectServer, receiver: httpx.Client) -> None:
    for key in ("output/none/page.png", "input/none/notes.txt"):
        assert receiver.post("/hooks/s3", json=messages.s3(key)).status_code == 200
    receiver.post("/hooks/s3", json=messages.s3("input/none/page.png"))
    assert len(soon(lambda: uploads_of(deployed, "input/none/"), 1)) == 1
    assert uploads_of(deployed, "output/none/") == []


@pytest.mark.long
def test_uploads_survive_a_restart_of_prefect(forks: Forks, tmp_path: Path) -> None:
    prefect = new_server(tmp_path)
    with prefect.running():
        prefect.prefect("work-pool", "create", "inktally", "--type", "process")
        prefect.prefect("deploy", "--name", "on-upload")
    with running_web(prefect, tmp_path, forks) as receiver:
        assert receiver.get("/readyz").status_code == 503
        assert receiver.post("/hooks/s3", json=messages.ceph("input/away/1.png")).status_code == 202
        assert receiver.post("/hooks/s3", json=messages.ceph("input/away/2.png")).status_code == 202
        wait_until(lambda: "inktally_prefect_down 1.0" in receiver.get("/metrics").text)
        assert receiver.post("/hooks/s3", json=messages.eventbridge("input/away/3.png")).status_code == 503
        with prefect.running():
            found = soon(lambda: keys_of(prefect, "input/away/"), 2, 60)
            assert sorted(found) == ["input/away/1.png", "input/away/2.png"]
            assert receiver.get("/readyz").status_code == 200


@pytest.mark.long
@pytest.mark.skipif(not redis.program(), reason="Redis is not installed (redis-server)")
def test_with_redis_what_prefect_has_accepted_outlives_its_death(tmp_path: Path) -> None:
    with running_redis() as messaging:
        prefect = new_server(tmp_path, messaging=messaging)
        with prefect.running():
            prefect.prefect("work-pool", "create", "inktally", "--type", "process")
            prefect.prefect("deploy", "--name", "on-upload")
            told = [told_of(f"input/kept/{n}.png") for n in range(20)]
            prefect.asked("/events", told)
        # killed, by signal 9
        with prefect.running():
            found = soon(lambda: keys_of(prefect, "input/kept/"), 20, 90)
    assert set(found) == {f"input/kept/{n}.png" for n in range(20)}


def told_of(key: str) -> dict[str, Any]:
    """The Prefect event of one upload."""
    arrivals = events.announced(messages.s3(key)).arrivals
    return event_of(arrivals).model_dump(mode="json")


@pytest.mark.parametrize("module", ["web", "web.queue"])
def test_without_a_prefect_api_the_command_says_so(module: str, forks: Forks, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PREFECT_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment |= {"INKTALLY_QUEUE_URL": "http://127.0.0.1:9/1/queue", "AWS_DEFAULT_REGION": "us-east-1"}
    done = ended(forks.start(["-m", module], environment))
    assert (done.status, "PREFECT_API_URL" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_the_secret_is_in_no_log(deployed: PrefectServer, forks: Forks, tmp_path: Path) -> None:
    secret = "not-for-any-log"
    with running_web(deployed, tmp_path, forks) as receiver:
        receiver.post("/hooks/s3", params={"secret": secret}, content=json.dumps({"secret": secret}))
        receiver.post("/hooks/s3", params={"secret": secret}, json=messages.ceph("input/log/page.png"))
        time.sleep(0.5)
    assert secret not in (tmp_path / "web.log").read_text()
