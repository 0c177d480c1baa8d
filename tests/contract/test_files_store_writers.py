"""A folder store with many writers, and with dead ones."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from inktally.errors import InktallyError, Overwritten
from inktally.ports import Store
from tests.contract.test_files_store import keys_of, root_of

WRITER = """
import itertools, sys
from pathlib import Path
from inktally.stores.files import FilesStore
store = FilesStore(Path(sys.argv[1]))
for number in itertools.count():
    letter = "abcdef"[number % 6]
    store.put("input/a", letter.encode() * 3_000_000, metadata={"letter": letter})
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_object(folder: Store) -> None:
    for delay in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, folder.uri], stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(delay * 0.011)
            writer.send_signal(signal.SIGKILL)
        found, content = folder.stat("input/a"), folder.read("input/a")
        assert found.etag == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert content == found.metadata["letter"].encode() * 3_000_000
    folder.put("input/a", b"still works", if_match=found.etag)


def test_what_killed_writers_left_is_swept_after_a_day(folder: Store) -> None:
    folder.put("a", b"")
    staging, yesterday = root_of(folder) / ".inktally/tmp", time.time() - 25 * 3600
    for name, when in (("old", yesterday), ("new", time.time())):
        (staging / name).write_bytes(b"half")
        os.utime(staging / name, (when, when))
    folder.put("a", b"")
    assert sorted(path.name for path in staging.iterdir()) == ["new", "old"]
    os.utime(root_of(folder) / ".inktally/swept", (yesterday, yesterday))
    folder.put("a", b"")
    assert [path.name for path in staging.iterdir()] == ["new"]


def test_a_folder_may_fall_empty_while_others_write_to_it(folder: Store) -> None:
    def come_and_go(number: int) -> None:
        for _ in range(60):
            folder.put(f"state/shared/deep/{number}", b"x", if_absent=True)
            assert (root_of(folder) / f"state/shared/deep/{number}").read_bytes() == b"x"
            folder.remove(f"state/shared/deep/{number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(come_and_go, range(6)))
    assert keys_of(folder) == []


def test_readers_get_bytes_and_metadata_that_belong_together(folder: Store, tmp_path: Path) -> None:
    def write(number: int) -> None:
        for step in range(40):
            content = f"{number} {step}".encode()
            folder.put("a", content, metadata={"content": content.decode()})

    def read(number: int) -> int:
        seen = 0
        while any(not writer.done() for writer in writers):
            with suppress(Overwritten):
                found = folder.stat("a")
                folder.download(found, tmp_path / str(number))
                assert (tmp_path / str(number)).read_text() == found.metadata["content"]
                seen += 1
        return seen

    folder.put("a", b"start", metadata={"content": "start"})
    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, number) for number in range(2)]
        assert sum(pool.map(read, range(3))) > 0
        for writer in writers:
            writer.result()


def test_a_key_and_one_below_it_may_be_written_at_once(folder: Store) -> None:
    def write(number: int) -> None:
        key = ("a", "a/b", "a/b/c")[number % 3]
        for _ in range(40):
            folder.put(key, key.encode())
            assert folder.read(key) == key.encode()
            if number >= 3:
                folder.remove("a/b/other")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert {key: folder.read(key).decode() for key in keys_of(folder)} == {key: key for key in ("a", "a/b", "a/b/c")}


def test_a_note_that_a_power_failure_tore_is_made_again(folder: Store) -> None:
    put = folder.put("a", b"content")
    (note,) = (root_of(folder) / ".inktally/meta").glob("*/*.json")
    note.write_bytes(note.read_bytes()[:10])
    assert folder.stat("a").same_version(put)
    assert json.loads(note.read_bytes())["etag"] == put.etag


def test_every_error_of_a_folder_is_one_of_ours(folder: Store) -> None:
    for key in ("a" * 1024, "a/" * 512, "\N{GRINNING FACE}" * 256):
        with pytest.raises(InktallyError):
            folder.stat(key)
