"""What only a folder can get wrong: other people's files, links, locks, and writers that are killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inktally import plugins
from inktally.errors import AccessDenied, BadSettings, NotFound, Overwritten, StoreDown
from inktally.ports import Store
from inktally.settings import Settings
from inktally.stores.files import FilesStore, build

NOBODY = 65534


def root_of(store: Store) -> Path:
    return Path(store.uri)


def keys_of(store: Store, prefix: str = "") -> list[str]:
    return sorted(found.key for found in store.list(prefix))


def drop(store: Store, key: str, content: bytes) -> Path:
    """A person puts a file into the folder."""
    path = root_of(store) / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# A folder for people


def test_an_object_lies_where_its_key_says(folder: Store) -> None:
    folder.put("output/word_counts/page 1.png.json", b"{}")
    assert (root_of(folder) / "output/word_counts/page 1.png.json").read_bytes() == b"{}"


def test_a_file_that_is_dropped_in_is_an_object(folder: Store, tmp_path: Path) -> None:
    drop(folder, "input/letters/page 1.png", b"picture")
    found = folder.stat("input/letters/page 1.png")
    assert found.etag == hashlib.md5(b"picture", usedforsecurity=False).hexdigest()
    assert keys_of(folder, "input/") == ["input/letters/page 1.png"]
    assert folder.download(found, tmp_path / "copy") == hashlib.sha256(b"picture").hexdigest()
    folder.copy(found, "archive/page 1.png")
    folder.delete(found)
    assert keys_of(folder) == ["archive/page 1.png"]


def test_a_file_that_did_not_change_is_not_read_again(folder: Store) -> None:
    path = drop(folder, "input/a.png", b"picture")
    found = folder.stat("input/a.png")
    with path.open("r+b") as file:
        file.write(b"PICTURE")
    os.utime(path, ns=(path.stat().st_atime_ns, int(found.modified[-10:-1]) + seconds(found.modified) * 10**9))
    again = plugins.store(folder.uri, Settings(_env_file=None))
    assert [again.stat("input/a.png").etag, *(listed.etag for listed in again.list(""))] == [found.etag] * 2


def seconds(modified: str) -> int:
    """Of an ISO 8601 time, since 1970."""
    return round(time.mktime(time.strptime(modified[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone)


def test_a_file_that_is_changed_in_place_is_another_version(folder: Store, tmp_path: Path) -> None:
    path = drop(folder, "input/a.png", b"picture")
    for change in (b"PICTURE", b"larger picture"):
        old = folder.stat("input/a.png")
        path.write_bytes(change)
        found = folder.stat("input/a.png")
        assert found.etag == hashlib.md5(change, usedforsecurity=False).hexdigest()
        assert not found.same_version(old)
        for attempt in (
            lambda old=old: folder.download(old, tmp_path / "copy"),
            lambda old=old: folder.copy(old, "b"),
            lambda old=old: folder.delete(old),
        ):
            with pytest.raises(Overwritten):
                attempt()


def test_an_object_that_a_person_edits_is_no_longer_what_was_put(folder: Store) -> None:
    put = folder.put("input/a.png", b"picture", metadata={"uploader": "anna"})
    drop(folder, "input/a.png", b"PICTURE")
    assert not folder.stat("input/a.png").same_version(put)
    assert folder.stat("input/a.png").metadata == {}
    with pytest.raises(Overwritten):
        folder.put("input/a.png", b"", if_match=put.etag)


def test_a_picture_that_is_still_being_copied_in_is_not_yet_listed(folder: Store) -> None:
    drop(folder, "input/whole.png", b"x")
    writer = "import sys\nf = open(sys.argv[1], 'wb', 0)\nwhile True: f.seek(0), f.write(bytes(4096))"
    with subprocess.Popen([sys.executable, "-c", writer, root_of(folder) / "input/growing.png"]) as process:
        try:
            deadline = time.monotonic() + 30
            while not refused(folder, "input/growing.png"):
                assert time.monotonic() < deadline
            while keys_of(folder) != ["input/whole.png"]:
                assert time.monotonic() < deadline
        finally:
            process.kill()
    assert keys_of(folder) == ["input/growing.png", "input/whole.png"]


def refused(store: Store, key: str) -> bool:
    try:
        store.stat(key)
    except StoreDown as error:
        assert "still being written" in str(error)  # noqa: PT017 - it need not be raised each time
        return True
    except NotFound:
        return False
    return False


def test_links_do_not_lead_out_of_the_folder(folder: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    folder.put("a", b"inside")
    (root_of(folder) / "file").symlink_to(outside / "secret")
    (root_of(folder) / "folder").symlink_to(outside)
    for key in ("file", "folder/secret"):
        with pytest.raises(NotFound):
            folder.stat(key)
        folder.put(key, b"ours", if_absent=True)
        assert folder.read(key) == b"ours"
    assert keys_of(folder) == ["a", "file", "folder/secret"]
    assert keys_of(folder, "folder/") == ["folder/secret"]
    folder.remove("folder/secret")
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("secret", b"secret")]


def test_a_file_whose_name_is_no_text_disturbs_nothing(folder: Store) -> None:
    drop(folder, "input/a.png", b"x")
    Path(os.fsdecode(os.fsencode(folder.uri) + b"/input/caf\xe9.png")).write_bytes(b"x")
    assert keys_of(folder) == ["input/a.png"]


def test_folders_that_fall_empty_go_but_those_at_the_top(folder: Store) -> None:
    folder.put("state/abc/claim", b"")
    folder.put("input/letters/a.png", b"")
    folder.remove("state/abc/claim")
    folder.delete(folder.stat("input/letters/a.png"))
    assert sorted(path.name for path in root_of(folder).iterdir()) == [".inktally", "input", "state"]
    assert list((root_of(folder) / "state").iterdir()) == []
    assert list((root_of(folder) / ".inktally/meta").iterdir()) == []


def test_only_the_present_state_is_noted(folder: Store) -> None:
    for number in range(3):
        folder.put("a", b"x" * number, metadata={"number": str(number)})
    assert len(list((root_of(folder) / ".inktally/meta").glob("*/*"))) == 1
    assert folder.stat("a").metadata == {"number": "2"}


def test_a_file_that_takes_the_place_of_a_folder_leaves_what_lies_beside(folder: Store) -> None:
    folder.put("a", b"file")
    folder.put("a/b", b"below a file")
    folder.remove("a")
    folder.put("a/c", b"in a folder now")
    assert [folder.read(key) for key in keys_of(folder)] == [b"below a file", b"in a folder now"]
    assert Path(folder.address("a/c")).read_bytes() == b"in a folder now"
    assert Path(folder.address("a/b")).read_bytes() == b"below a file"


def test_an_object_may_be_put_from_its_own_file(folder: Store) -> None:
    put = folder.put("a", b"content")
    assert folder.put("a", Path(folder.address("a"))).etag == put.etag
    assert folder.read("a") == b"content"


def test_the_folder_is_made_by_the_first_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = build("deep/store", Settings(_env_file=None))
    assert store.uri == str(tmp_path / "deep/store")
    assert list(store.list("input/")) == []
    with pytest.raises(NotFound, match="no input/a in the store"):
        store.stat("input/a")
    assert list(tmp_path.iterdir()) == []
    store.put("input/a", b"")
    assert keys_of(store) == ["input/a"]


def test_a_folder_may_be_reached_over_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = build(str(tmp_path / "link"), Settings(_env_file=None))
    store.put("a/b", b"x")
    assert (tmp_path / "real/a/b").read_bytes() == b"x"


# Faults that a person must mend


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FilesStore(tmp_path / "file")
    with pytest.raises(BadSettings, match="must be a folder"):
        store.put("a", b"")
    with pytest.raises(NotFound):
        store.stat("a")


def test_what_we_may_not_touch_is_denied(folder: Store, tmp_path: Path) -> None:
    folder.put("a", b"x")
    source = folder.stat("a")
    root_of(folder).chmod(0o700)
    with as_nobody():
        for attempt in (
            lambda: folder.stat("a"),
            lambda: folder.read("a"),
            lambda: folder.put("b", b""),
            lambda: folder.download(source, tmp_path / "copy"),
            lambda: folder.remove("a"),
            lambda: list(folder.list("")),
        ):
            with pytest.raises(AccessDenied, match="Check who owns"):
                attempt()


def test_a_folder_that_we_may_only_read_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        store = build(name, Settings(_env_file=None))
        drop(store, "input/a.png", b"picture")
        root_of(store).chmod(0o755)
        with as_nobody():
            assert store.stat("input/a.png").size == 7
            assert keys_of(store) == ["input/a.png"]
            with pytest.raises(AccessDenied):
                store.put("b", b"")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may do everything, so not as root."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        pytest.skip("only root can become another user")


FULL_DISK = """
import sys
from pathlib import Path
from inktally.errors import StoreDown
from inktally.stores.files import FilesStore
store = FilesStore(Path(sys.argv[1]))
store.put("a", b"old")
try:
    store.put("a", bytes(1 << 20))
except StoreDown as error:
    print(error)
assert store.read("a") == b"old"
store.put("b", b"small")
"""


def test_a_full_disk_is_said_to_be_full_and_loses_nothing(tmp_path: Path) -> None:
    inner = f'mount -t tmpfs -o size=256k none "{tmp_path}" && exec "{sys.executable}" -c "$0" "{tmp_path}"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", inner, FULL_DISK]
    if not shutil.which("unshare") or subprocess.run([*command[:3], "true"], check=False).returncode:
        pytest.skip("this system lets us mount no small disk")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"The disk of {tmp_path} is full; make room and try again.\n"), done
