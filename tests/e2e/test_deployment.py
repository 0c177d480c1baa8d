"""The deployment, as Prefect's users know it: deploy, start a worker, start runs, look at what the UI shows of them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from PIL import Image

from deployments.up.checks import basic
from deployments.up.prefect import PROGRAM
from tests.support.forks import Forks
from tests.support.machine import PREFECT_SIGN_IN, Machine, draw, new_machine, words_of
from tests.support.prefect_servers import Deployments, PrefectServer
from tests.support.servers import process
from tests.support.stack import Shared
from tests.support.waiting import eventually

ANNA = "anna.lind-4711@example.org"
SUFFIX = "deployed"
NAME = f"ocr-flow/on-upload-{SUFFIX}"
WARM = f"{SUFFIX}-warm"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Api:
    """Prefect's REST API, which the UI uses too."""

    address: str

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        return self._ask("POST", path, body)

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        """All artifacts of a flow run."""
        found: list[dict[str, Any]] = self.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return found

    def ended(self, run: str) -> dict[str, Any]:
        """The flow run, once it has ended."""
        eventually(lambda: self.get(f"flow_runs/{run}")["state_type"] in FINAL, 240, every=0.2)
        flow_run: dict[str, Any] = self.get(f"flow_runs/{run}")
        return flow_run

    def _ask(self, method: str, path: str, body: object) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **basic(PREFECT_SIGN_IN)}
        request = urllib.request.Request(f"{self.address}/{path}", content, headers, method=method)  # noqa: S310
        for wait in (0.2, 0.5, 1, 2, 0):
            try:
                with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - our own server
                    return json.loads(response.read() or "null")
            except HTTPError as error:  # SQLite is locked now and then; Prefect's own client asks again too
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or not wait:
                    raise
                time.sleep(wait)
        return None


@dataclass
class Deployed:
    """A machine with a stock worker of the deployment; further runs are those of the warm worker that tests share."""

    machine: Machine
    api: Api

    def upload(self, name: str, text: str) -> dict[str, str]:
        """Put a picture into the store's folder by hand, its uploader's address beside it."""
        picture = draw(self.machine.folder / "drawn.png", text)
        self.machine.opened_store.put(f"input/{name}", picture, metadata={"email": ANNA})
        return {"key": f"input/{name}"}

    def run(self, *uploads: dict[str, str], **options: object) -> dict[str, Any]:
        """Start a run of the warm worker as the UI does, and wait for its end."""
        deployment = self.api.get(f"deployments/name/ocr-flow/on-upload-{WARM}")["id"]
        parameters = {"uploads": uploads, "options": options}
        body = {"parameters": parameters, "idempotency_key": uuid4().hex}
        run = self.api.post(f"deployments/{deployment}/create_flow_run", body)
        return self.api.ended(run["id"])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, shared: Shared, spark_server: str) -> Iterator[Deployed]:
    """The first run is of the stock worker; later ones build on what earlier ones have left in the store."""
    prefect, forks = shared.prefect, shared.forks
    servers = {"PREFECT_API_URL": prefect.api, "INKTALLY_SPARK_REMOTE": spark_server}
    settings = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    with new_machine(tmp_path_factory.mktemp("deployed"), **servers, **settings) as machine:
        prefect.make_pool(forks, SUFFIX, "process")
        flows = ("ocr_flow", "sweep_flow", "corpus_flow")
        entrypoints = [f"flows/{flow}.py:{flow}" for flow in flows]
        prefect.deploy(forks, Deployments(SUFFIX, SUFFIX, entrypoints))
        own = machine.settings_of_runs()
        prefect.deploy(forks, Deployments(WARM, shared.pool, entrypoints[:1], environment=own))
        command = [str(PROGRAM), "worker", "start", "--pool", SUFFIX, "--type", "process", "--limit", "1"]
        with process(command, machine.folder / "worker.out", machine.environment) as worker:
            yield Deployed(machine, Api(prefect.api))
            worker.terminate()
            worker.wait(30)


@pytest.fixture(scope="module")
def first(deployed: Deployed, prefect: PrefectServer, forks: Forks) -> dict[str, Any]:
    """A run of two uploads, started with Prefect's command line."""
    uploads = [deployed.upload("page.png", "hand made words"), deployed.upload("b/2 +.png", "more words")]
    said = prefect.ask(forks, "deployment", "run", NAME, "--param", f"uploads={json.dumps(uploads)}")
    return deployed.api.ended(next(word for word in said.split() if word.count("-") == 4))


@pytest.fixture(scope="module")
def failed(deployed: Deployed, first: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - which came before
    """A run of an upload that has been answered, and of one in a store that is none."""
    return deployed.run({"key": "input/page.png"}, {"key": "x.png", "store": "s3://"})


@pytest.fixture(scope="module")
def refreshed(deployed: Deployed, failed: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - which came before
    """A run of an upload that has been answered, of one that is broken, and of one that has gone; all to be redone."""
    deployed.machine.opened_store.put("input/broken.png", b"no picture", metadata={"email": ANNA})
    deployed.machine.forget_starts()
    uploads = [{"key": f"input/{name}.png"} for name in ("page", "broken", "gone")]
    return deployed.run(*uploads, refresh=True)


@pytest.fixture(scope="module")
def alone(deployed: Deployed, refreshed: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - which came before
    """A run of a single upload."""
    return deployed.run({"key": "input/b/2 +.png"}, refresh=True)


def test_a_run_answers_its_uploads_and_is_named_after_them(deployed: Deployed, first: dict[str, Any]) -> None:
    assert (first["state_type"], first["name"]) == ("COMPLETED", "page.png and 1 more")
    assert first["state"]["message"] == "2 of 2 answered, 5 words"
    counts = deployed.machine.store / "output" / "word_counts"
    assert words_of(counts / "page.png.json") == {"hand": 1, "made": 1, "words": 1}
    assert words_of(counts / "b" / "2 +.png.json") == {"more": 1, "words": 1}
    assert [mail["To"] for mail in deployed.machine.mails()] == [ANNA] * 2


def test_its_task_runs_are_named_after_the_pictures(deployed: Deployed, first: dict[str, Any]) -> None:
    """After all of them, or after the first of their group: which of the two that is, their recognition decides."""
    filters = {"flow_runs": {"id": {"any_": [first["id"]]}}}
    steps = ("publish", "announce", "dispose", "answer")

    def are_named() -> bool:
        names = {each["name"] for each in deployed.api.post("task_runs/filter", filters)}
        told = [name for step in steps for name in names if name.startswith((f"{step} page.png", f"{step} 2 +.png"))]
        return names >= {"recognise page.png", "recognise 2 +.png"} and len(told) >= len(steps)

    eventually(are_named, 60)


def test_the_ui_shows_progress_the_top_words_and_a_link_to_each_output(
    deployed: Deployed, first: dict[str, Any]
) -> None:
    artifacts = deployed.api.artifacts(first["id"])
    tables = [json.loads(each["data"]) for each in artifacts if each["type"] == "table"]
    progress = [each["data"] for each in artifacts if each["type"] == "progress"]
    assert [[(row["picture"], row["words"], row["top words"]) for row in table] for table in tables] == [
        [("page.png", 3, "hand 1, made 1, words 1"), ("b/2 +.png", 2, "more 1, words 1")]
    ]
    assert progress == [100.0]
    for output in (r"[page.png.txt]", r"[page.png.json]", r"[2 \+.png.txt]", r"[2 \+.png.json]"):
        assert sum(output in cell for row in tables[0] for cell in row.values() if isinstance(cell, str)) == 2


@pytest.mark.parametrize(
    ("name", "every", "at"),
    [("every-five-minutes", timedelta(minutes=5), ""), ("nightly", timedelta(days=1), "02:15:00")],
)
def test_what_is_scheduled_is_due_when_it_should_be(deployed: Deployed, name: str, every: timedelta, at: str) -> None:
    """Prefect says nothing on its pages of a schedule that it fails to plan."""
    wanted = {"deployments": {"name": {"any_": [f"{name}-{SUFFIX}"]}}}
    eventually(lambda: len(deployed.api.post("flow_runs/filter", wanted)) > 1)
    due = sorted(run["expected_start_time"] for run in deployed.api.post("flow_runs/filter", wanted))
    first, second, *_ = map(datetime.fromisoformat, due)
    assert second - first == every
    assert f"{first:%H:%M:%S}".startswith(at)


def test_its_form_says_what_each_parameter_is(deployed: Deployed) -> None:
    schema = deployed.api.get(f"deployments/name/{NAME}")["parameter_openapi_schema"]
    assert schema["required"] == ["uploads"]
    assert "The pictures, each by its key" in schema["properties"]["uploads"]["description"]
    fields = {**schema["definitions"]["Upload"]["properties"], **schema["definitions"]["Options"]["properties"]}
    assert [name for name, entry in fields.items() if not (entry.get("title") and entry.get("description"))] == []


def test_an_answered_delivery_is_not_answered_again(deployed: Deployed, failed: dict[str, Any]) -> None:
    assert (failed["state_type"], failed["state_name"], failed["name"]) == ("FAILED", "Failed", "page.png and 1 more")
    assert failed["state"]["message"].startswith("1 of 2 not answered; s3:///x.png: s3:// is no store")
    assert len(deployed.machine.mails()) == 2


def test_unless_it_is_asked_to_be_refreshed(deployed: Deployed, refreshed: dict[str, Any]) -> None:
    assert refreshed["state_type"] == "COMPLETED"
    assert deployed.machine.recognitions() == 1
    assert [mail["Subject"] for mail in deployed.machine.mails()].count("3 words in page.png") == 2


def test_a_rejected_picture_ends_in_a_state_of_its_own(deployed: Deployed, refreshed: dict[str, Any]) -> None:
    assert refreshed["state_name"] == "Rejected"
    assert refreshed["state"]["message"] == "1 of 3 cannot be read"
    assert "broken.png could not be read" in [mail["Subject"] for mail in deployed.machine.mails()]
    assert (deployed.machine.store / "failed" / "broken.png.reason.json").is_file()


def test_the_ui_shows_the_top_words_of_a_single_picture(deployed: Deployed, alone: dict[str, Any]) -> None:
    artifacts = deployed.api.artifacts(alone["id"])
    (table,) = [json.loads(each["data"]) for each in artifacts if each["type"] == "table"]
    (links,) = [each["data"] for each in artifacts if each["type"] == "markdown"]
    assert [(row["word"], row["count"]) for row in table] == [("more", 1), ("words", 1)]
    assert links.count("[2 \\+.png") == 4


@pytest.mark.usefixtures("first", "failed", "refreshed")
def test_no_address_ever_reaches_prefect(deployed: Deployed, prefect: PrefectServer) -> None:
    assert deployed.machine.mails()
    assert prefect.holders_of("page.png"), "what it does know is found"
    assert prefect.holders_of(ANNA) == []
    assert ANNA not in (deployed.machine.folder / "worker.out").read_text()


@pytest.mark.usefixtures("first")
def test_the_ui_shows_how_many_pages_of_a_long_document_are_read(deployed: Deployed) -> None:
    first, *others = [Image.open(draw(deployed.machine.folder / f"{number}.png", "page")) for number in range(30)]
    first.save(deployed.machine.folder / "long.tiff", save_all=True, append_images=others)
    deployed.machine.opened_store.put("input/long.tiff", deployed.machine.folder / "long.tiff")
    deployed.machine.slow_down_tesseract(0.5)  # it takes longer than the artifact waits for
    run = deployed.run({"key": "input/long.tiff"})
    deployed.machine.count_starts_of("tesseract")
    (progress,) = [each for each in deployed.api.artifacts(run["id"]) if each["type"] == "progress"]
    assert (progress["data"], progress["key"][:16]) == (100.0, "pages-long-tiff-")
    assert "30 pages of **long.tiff**" in progress["description"]
