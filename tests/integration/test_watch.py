"""python -m web.watch over a folder, and the real receiver that it rings."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from inktally import plugins
from inktally.delivery import Outcome, Upload
from inktally.settings import Settings
from inktally.steps import announcing, deliveries, markers
from tests.support.messages import s3_record
from tests.support.receivers import Recorder, Running, running_receiver
from tests.support.servers import free_port, process
from tests.support.waiting import wait_until

ANNA = "anna@example.org"
SECRET = "a secret for one test"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Running]:
    settings = Settings(
        _env_file=None, hook_secret=SecretStr(SECRET), dead_letters=tmp_path / "dead", hook_window_seconds=0.01
    )
    with running_receiver(settings) as running:
        yield running


@contextmanager
def watching(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A watch of `folder`/store; within the block it works."""
    log = folder / "watch.log"
    environment = {
        "INKTALLY_STORE": folder / "store",
        "INKTALLY_HOOK_SECRET": SECRET,
        "INKTALLY_WEB_PORT": port,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, str(value))
        with process([sys.executable, "-m", "web.watch", "--to", ANNA], log) as watch:
            wait_until(lambda: "watching" in log.read_text(), watch)
            yield watch


@pytest.fixture
def inbox(tmp_path: Path, receiver: Running) -> Iterator[Path]:
    """The folder input/ of a store that is watched."""
    with watching(tmp_path, receiver.port):
        yield tmp_path / "store" / "input"


def settled(runs: Recorder) -> list[str]:
    """The keys of all that has been announced, when nothing more comes."""
    time.sleep(1.5)
    return [upload.key for upload in runs.uploads]


def test_a_dropped_picture_is_announced_once_as_one_of_the_workers_own_store(inbox: Path, receiver: Running) -> None:
    (inbox / "letters").mkdir()
    (inbox / "letters" / "page 1+2 ü.png").write_bytes(b"a picture")
    assert receiver.runs.soon(1) == [Upload(key="input/letters/page 1+2 ü.png")]
    assert settled(receiver.runs) == ["input/letters/page 1+2 ü.png"]


def test_a_picture_is_announced_only_when_it_has_been_written(inbox: Path, receiver: Running) -> None:
    with (inbox / "page.png").open("wb") as file:
        file.write(b"a ")
        file.flush()
        assert settled(receiver.runs) == []
        file.write(b"picture")
    assert [upload.key for upload in receiver.runs.soon(1)] == ["input/page.png"]


def test_a_picture_that_is_moved_into_place_is_announced(inbox: Path, receiver: Running, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(b"a picture")
    (tmp_path / "page.png").rename(inbox / "page.png")
    assert [upload.key for upload in receiver.runs.soon(1)] == ["input/page.png"]


def test_an_overwritten_picture_is_announced_again(inbox: Path, receiver: Running) -> None:
    (inbox / "page.png").write_bytes(b"a picture")
    assert len(receiver.runs.soon(1)) == 1
    (inbox / "page.png").write_bytes(b"another one")
    assert [upload.key for upload in receiver.runs.soon(2)] == ["input/page.png"] * 2


def test_what_is_no_picture_is_left_alone(inbox: Path, receiver: Running) -> None:
    (inbox / "notes.txt").write_text("no picture")
    (inbox / "page.png.part").write_bytes(b"half a picture")
    Path(os.fsdecode(os.fsencode(inbox) + b"/\xff.png")).write_bytes(b"a name that is no text")
    (inbox / "last.png").write_bytes(b"a picture")
    receiver.runs.soon(1)
    assert settled(receiver.runs) == ["input/last.png"]


def test_whoever_watches_is_told_unless_the_picture_names_somebody(
    inbox: Path, receiver: Running, tmp_path: Path
) -> None:
    store = plugins.store(str(tmp_path / "store"), Settings(_env_file=None))
    store.put("input/bob.png", b"a picture", metadata={"email": "bob@example.org"})
    (inbox / "page.png").write_bytes(b"another one")
    uploads = receiver.runs.soon(2)
    told = {upload.key: announcing.recipient_of(store, deliveries.look(store, upload)) for upload in uploads}
    assert told == {"input/page.png": ANNA, "input/bob.png": "bob@example.org"}


def test_what_came_while_nobody_watched_is_announced_unless_it_was_answered(receiver: Running, tmp_path: Path) -> None:
    store = plugins.store(str(tmp_path / "store"), Settings(_env_file=None))
    for name in ("answered", "new"):
        store.put(f"input/{name}.png", name.encode())
    answered = deliveries.look(store, Upload(key="input/answered.png", store=store.uri))
    markers.mark_answered(store, answered, Outcome(upload=store.address("input/answered.png")))
    with watching(tmp_path, receiver.port):
        receiver.runs.soon(1)
        assert settled(receiver.runs) == ["input/new.png"]


def test_a_picture_waits_for_a_receiver_that_is_down(receiver: Running, tmp_path: Path) -> None:
    port = free_port()
    with watching(tmp_path, port):
        (tmp_path / "store" / "input" / "page.png").write_bytes(b"a picture")
        wait_until(lambda: "waits" in (tmp_path / "watch.log").read_text())
        forward = [sys.executable, "-c", FORWARD, str(port), str(receiver.port)]
        with process(forward, tmp_path / "forward.log"):
            wait_until(lambda: receiver.runs.uploads != [])
    assert [upload.key for upload in receiver.runs.uploads] == ["input/page.png"]


def test_who_knows_the_secret_can_name_no_other_folder(receiver: Running) -> None:
    record = s3_record("input/page.png", sender="inktally:folder", bucket="/etc")
    receiver.http.post("/hooks/s3", json={"Records": [record]}, headers={"X-Inktally-Secret": SECRET})
    assert receiver.runs.soon(1) == [Upload(key="input/page.png")]


def test_a_signal_ends_it_quietly(tmp_path: Path, receiver: Running) -> None:
    with watching(tmp_path, receiver.port) as watch:
        watch.terminate()
        assert watch.wait(5) == 0
    assert "Traceback" not in (tmp_path / "watch.log").read_text()


def test_a_bucket_is_not_watched(tmp_path: Path) -> None:
    environment = {**os.environ, "INKTALLY_STORE": "s3://letters"}
    done = subprocess.run(
        [sys.executable, "-m", "web.watch"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "s3://letters is a bucket" in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


FORWARD = """
import asyncio, sys
async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def serve(reader, writer):
    there = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""
"""A way to the receiver that opens late."""
