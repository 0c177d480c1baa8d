"""From a message to a run of ocr-flow/on-upload, with a real Prefect server and the triggers of prefect.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.up import redis
from inktally.intake import events
from tests.support import messages
from tests.support.prefect_servers import PrefectServer, new_server, running_redis
from tests.support.servers import answers, free_port, process, wait_until
from web.hooks.trigger import event_of

Upload = dict[str, str]


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server that knows the deployment; no worker, so runs are made and wait."""
    server = new_server(tmp_path_factory.mktemp("prefect"))
    with server.running():
        server.prefect("work-pool", "create", "inktally", "--type", "process")
        server.prefect("deploy", "--name", "on-upload")
        yield server


@contextmanager
def web(prefect: PrefectServer, folder: Path) -> Iterator[httpx.Client]:
    """The command `python -m web` at work, and a client of it."""
    port = free_port()
    settings = {"INKTALLY_WEB_PORT": str(port), "INKTALLY_DEAD_LETTERS": str(folder / "dead letters")}
    environment = [f"{name}={value}" for name, value in {**prefect.environment, **settings}.items()]
    with process(["env", *environment, sys.executable, "-m", "web"], folder / "web.log") as server:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/healthz"), server)
        with httpx.Client(base_url=address, timeout=10) as client:
            yield client
        server.terminate()
        server.wait(10)


@pytest.fixture
def receiver(prefect: PrefectServer, tmp_path: Path) -> Iterator[httpx.Client]:
    with web(prefect, tmp_path) as client:
        yield client


def uploads_of(prefect: PrefectServer, prefix: str) -> list[list[Upload]]:
    """The uploads of each run whose first picture has a key that begins so."""
    parameters: list[dict[str, Any]] = [run["parameters"] for run in prefect.runs()]
    assert all(isinstance(each["uploads"], list) for each in parameters), "a list must not become a string"
    return [each["uploads"] for each in parameters if each["uploads"][0]["key"].startswith(prefix)]


def soon(found: Callable[[], list[Any]], number: int, seconds: float = 90) -> list[Any]:
    end = time.monotonic() + seconds
    while len(found()) < number and time.monotonic() < end:
        time.sleep(0.02)
    return found()


def test_one_upload_starts_one_run_with_a_list_of_one(prefect: PrefectServer, receiver: httpx.Client) -> None:
    key = 'input/one/"quoted" <b> {{ 7 * 7 }} ü+%20.png'
    begun = time.monotonic()
    assert receiver.post("/hooks/s3", json=messages.s3(key, versionId="v1")).status_code == 202
    runs = soon(lambda: uploads_of(prefect, "input/one/"), 1)
    seconds = time.monotonic() - begun
    assert runs == [[{"key": key, "store": "s3://letters", "version": "v1"}]]
    assert seconds < 5, "a single upload starts at once"
    print(f"from the message to the run: {seconds:.2f} s")  # noqa: T201 - shown by pytest -s


def test_a_burst_becomes_few_runs_and_none_is_lost(prefect: PrefectServer, receiver: httpx.Client) -> None:
    for n in range(150):
        assert receiver.post("/hooks/s3", json=messages.ceph(f"input/burst/{n}.png")).status_code == 202
    soon(lambda: [each for run in uploads_of(prefect, "input/burst/") for each in run], 150)
    runs = uploads_of(prefect, "input/burst/")
    assert sorted(each["key"] for run in runs for each in run) == sorted(f"input/burst/{n}.png" for n in range(150))
    assert len(runs) <= 10
    assert max(map(len, runs)) <= 100


def test_the_same_event_from_two_receivers_is_one_run(
    prefect: PrefectServer, receiver: httpx.Client, tmp_path: Path
) -> None:
    message = messages.eventbridge("input/twice/page.png")
    (tmp_path / "other").mkdir()
    with web(prefect, tmp_path / "other") as other:
        for client in (receiver, other):
            assert client.post("/hooks/s3", json=message).json() == {"accepted": 1, "repeated": 0}
        soon(lambda: uploads_of(prefect, "input/twice/"), 1)
        time.sleep(1)
    assert len(uploads_of(prefect, "input/twice/")) == 1


def test_objects_that_are_no_pictures_start_no_run(prefect: PrefectServer, receiver: httpx.Client) -> None:
    for key in ("output/none/page.png", "input/none/notes.txt"):
        assert receiver.post("/hooks/s3", json=messages.s3(key)).status_code == 200
    receiver.post("/hooks/s3", json=messages.s3("input/none/page.png"))
    assert len(soon(lambda: uploads_of(prefect, "input/none/"), 1)) == 1
    assert uploads_of(prefect, "output/none/") == []


@pytest.mark.alone
def test_the_answer_comes_within_50_ms_while_prefect_is_at_work(receiver: httpx.Client) -> None:
    seconds = []
    for n in range(300):
        begun = time.perf_counter()
        assert receiver.post("/hooks/s3", json=messages.ceph(f"input/quick/{n}.png")).status_code == 202
        seconds.append(time.perf_counter() - begun)
    quantile = sorted(seconds)[296]
    print(f"p50 {sorted(seconds)[150] * 1000:.1f} ms, p99 {quantile * 1000:.1f} ms")  # noqa: T201
    assert quantile < 0.05


@pytest.mark.long
def test_uploads_survive_a_restart_of_prefect(tmp_path: Path) -> None:
    prefect = new_server(tmp_path)
    with prefect.running():
        prefect.prefect("work-pool", "create", "inktally", "--type", "process")
        prefect.prefect("deploy", "--name", "on-upload")
    with web(prefect, tmp_path) as receiver:
        assert receiver.get("/readyz").status_code == 503
        assert receiver.post("/hooks/s3", json=messages.ceph("input/away/1.png")).status_code == 202
        assert receiver.post("/hooks/s3", json=messages.ceph("input/away/2.png")).status_code == 202
        wait_until(lambda: "inktally_prefect_down 1.0" in receiver.get("/metrics").text)
        assert receiver.post("/hooks/s3", json=messages.eventbridge("input/away/3.png")).status_code == 503
        with prefect.running():
            found = soon(lambda: [each["key"] for run in uploads_of(prefect, "input/away/") for each in run], 2, 60)
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
            httpx.post(f"{prefect.api}/events", json=told, timeout=30).raise_for_status()
        # killed, by signal 9
        with prefect.running():
            found = soon(lambda: [each["key"] for run in uploads_of(prefect, "input/kept/") for each in run], 20, 90)
    assert set(found) == {f"input/kept/{n}.png" for n in range(20)}


def told_of(key: str) -> dict[str, Any]:
    """The Prefect event of one upload."""
    arrivals = events.announced(messages.s3(key)).arrivals
    return event_of(arrivals).model_dump(mode="json")


@pytest.mark.parametrize("module", ["web", "web.queue"])
def test_without_a_prefect_api_the_command_says_so(module: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PREFECT_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment |= {"INKTALLY_QUEUE_URL": "http://127.0.0.1:9/1/queue", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run([sys.executable, "-m", module], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "PREFECT_API_URL" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_the_secret_is_in_no_log(prefect: PrefectServer, tmp_path: Path) -> None:
    secret = "not-for-any-log"
    with web(PrefectServer(prefect.home, prefect.port), tmp_path) as receiver:
        receiver.post("/hooks/s3", params={"secret": secret}, content=json.dumps({"secret": secret}))
        receiver.post("/hooks/s3", params={"secret": secret}, json=messages.ceph("input/log/page.png"))
        time.sleep(0.5)
    assert secret not in (tmp_path / "web.log").read_text()
