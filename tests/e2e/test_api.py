"""The REST API on the whole stack: from a picture that is sent to its words, over a store that rings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from inktally import plugins
from tests.support.machine import draw
from tests.support.servers import S3Server
from tests.support.stack import Shared, Stack, new_stack
from tests.support.waiting import eventually

KEY = "a key of this stack"
LONGEST_ANSWER = 90  # seconds, on a busy machine


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, s3: S3Server, shared: Shared, spark_server: str) -> Iterator[Stack]:
    """On a bucket that rings itself; where none can, on a folder, whose own worker has a Prefect of its own."""
    settings: dict[str, object] = {"api_keys": KEY, "api_wait_seconds": LONGEST_ANSWER, "after": "delete"}
    folder, rings = tmp_path_factory.mktemp("stack"), s3.name == "ceph"
    own = {} if rings else {"store": folder / "store"}
    with new_stack(folder / "machine", s3, spark_server, shared if rings else None, **settings, **own) as made:
        made.connect()
        if not rings:
            made.start_watch()
        made.start_site()
        yield made


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"{stack.site}/api", headers=headers, timeout=LONGEST_ANSWER + 10) as http:
        yield http


def test_a_picture_is_followed_from_its_arrival_to_its_counts(api: httpx.Client, tmp_path: Path) -> None:
    picture = draw(tmp_path / "owl.png", "The owl and the pussycat").read_bytes()
    asked = {"outputs": "plain_text,pdf", "name": "the owl & co.png"}
    headers = {"Content-Type": "image/png", "Prefer": "respond-async"}
    sent = api.post("/ocr", content=picture, params=asked, headers=headers)
    assert (sent.status_code, sent.json()["state"]) == (202, "received")
    told = sent.json()
    states, end = ["received"], time.monotonic() + LONGEST_ANSWER
    while not told["is_final"] and time.monotonic() < end:
        told = api.get(f"/uploads/{told['id']}").raise_for_status().json()
        states += [told["state"]] * (told["state"] != states[-1])
        time.sleep(0.02)
    assert states in (
        ["received", "recognising", "counting", "answered"],
        ["received", "counting", "answered"],
        ["received", "recognising", "answered"],
    )
    assert (told["name"], told["picture"]) == ("the owl & co.png", "deleted")
    assert set(told["outputs"]) == {"plain_text", "pdf", "word_counts"}
    assert told["seconds"].keys() >= {"waiting", "publish", "total"}
    counts = api.get(f"/uploads/{told['id']}/counts").json()
    assert {entry["word"]: entry["count"] for entry in counts["words"]} == {"the": 2, "owl": 1, "and": 1, "pussycat": 1}
    assert api.get(f"/uploads/{told['id']}/outputs/pdf").content.startswith(b"%PDF-")


def test_the_same_picture_again_is_answered_as_if_nobody_had_sent_it_before(api: httpx.Client, tmp_path: Path) -> None:
    picture = draw(tmp_path / "owl.png", "An elegant fowl").read_bytes()
    first, again = (api.post("/ocr", files={"file": ("fowl.png", picture)}) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json().keys() == again.json().keys()
    assert first.json()["seconds"].keys() == again.json()["seconds"].keys()
    assert again.json()["counts"]["words"] == first.json()["counts"]["words"] != []


def test_a_picture_that_turns_out_to_be_broken_is_a_problem(api: httpx.Client, tmp_path: Path) -> None:
    broken = draw(tmp_path / "owl.png", "A runcible spoon").read_bytes()[:200]
    answer = api.post("/ocr", content=broken, headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "UnreadablePicture")
    assert api.get(f"/uploads/{answer.json()['upload']}").json()["picture"] == "set aside"


def test_an_object_whose_metadata_asks_for_what_there_is_not_is_set_aside_with_the_reason(
    stack: Stack, tmp_path: Path
) -> None:
    settings = stack.s3.settings()
    store = plugins.store(stack.machine.environment["INKTALLY_STORE"], settings)
    picture = draw(tmp_path / "owl.png", "A bong tree")
    store.put("input/tree.png", picture, metadata={"min-confidence": "much"})
    reason = "failed/tree.png.reason.json"
    eventually(lambda: [found.key for found in store.list(reason)], LONGEST_ANSWER)
    assert json.loads(store.read(reason))["kind"] == "UnknownOption"
