"""What every store promises, on a folder and on real S3 servers."""

from __future__ import annotations

import hashlib
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inktally.delivery import StoredObject
from inktally.errors import BadSettings, NotFound, Overwritten, UnsafeDelete
from inktally.ports import Store
from tests.contract.conftest import STURDY

ODD_KEYS = [
    "plain.png",
    "a",
    "a/",
    "a//b",
    "/leading",
    "//",
    ".",
    "..",
    "./a",
    "../a",
    "a/../b",
    "long segment " + "x" * 300,
    "many segments " + "y/" * 500,
    "\N{LATIN SMALL LETTER E WITH ACUTE}" * 500,
    "composed \N{LATIN SMALL LETTER E WITH ACUTE}",
    "combined e\N{COMBINING ACUTE ACCENT}",
    "\N{GRINNING FACE} \ufffe \uffff \ud7ff",
    "tab\tbell\x07delete\x7f",
    "line\nbreak\r\nand more",
    " spaces ",
    "+ %41 & ? # = ; : @ , $ ! * ' ( ) [ ] { } | ^ ` ~ < > \"",
    "back\\slash",
    "?versionId=null",
    ".inktally/objects/a",
    ".inktally",
    "nul\0",
]
NOT_SERVED = {"moto-without-ceph": {"line\nbreak\r\nand more"}}  # moto's routes take no line breaks
REFUSED = {"ceph": {"nul\0"}, "ceph-versioned": {"nul\0"}}

METADATA = [
    "",
    "anna@example.org",
    "J\u00fcrgen \u2713",
    "=?utf-8?b?xKNi?=",
    "a=?b?=",
    " spaces  within ",
    "a\tb\nc",
    "%41",
]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def keys_of(store: Store, prefix: str = "") -> list[str]:
    return sorted(found.key for found in store.list(prefix))


def can_delete(kind: str) -> bool:
    """Ceph 16 has neither versions nor conditional deletes in a plain bucket."""
    return kind != "ceph"


def outlive_the_second(kind: str) -> None:
    """S3 tells times in whole seconds, so the same bytes put twice within one are one version without versions."""
    if kind in {"ceph", "moto"}:
        time.sleep(1.05)


# Reading and writing


def test_what_is_put_is_described_and_read_and_downloaded(store: Store, tmp_path: Path) -> None:
    put = store.put("input/page 1.png", b"bytes", metadata={"Uploader": "anna@example.org"})
    found = store.stat("input/page 1.png")
    assert found.same_version(put)
    assert (found.key, found.size, found.etag) == ("input/page 1.png", 5, md5(b"bytes"))
    assert found.metadata == {"uploader": "anna@example.org"}
    assert (put.metadata, put.age) == ({}, 0.0)
    assert store.read(found.key) == b"bytes"
    assert store.download(found, tmp_path / "copy") == hashlib.sha256(b"bytes").hexdigest()
    assert (tmp_path / "copy").read_bytes() == b"bytes"


def test_a_put_replaces_bytes_and_metadata(store: Store) -> None:
    first = store.put("key", b"one", metadata={"a": "1"})
    second = store.put("key", b"two", metadata={"b": "2"})
    found = store.stat("key")
    assert found.same_version(second)
    assert not found.same_version(first)
    assert (store.read("key"), found.metadata) == (b"two", {"b": "2"})


def test_the_same_bytes_put_again_are_a_new_version(store: Store, kind: str) -> None:
    first = store.put("key", b"same")
    outlive_the_second(kind)
    assert not store.put("key", b"same").same_version(first)


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.put("state/answered", b"")
    assert store.stat("state/answered").size == 0
    assert store.read("state/answered") == b""


def test_the_age_is_the_time_since_the_put(sturdy_store: Store) -> None:
    sturdy_store.put("key", b"x")
    time.sleep(1.2)
    assert 1.0 <= sturdy_store.stat("key").age < 10
    assert 1.0 <= next(sturdy_store.list("key")).age < 10


def test_a_large_file_passes_through_a_small_memory(store: Store, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(1 << 20) * 32)
    store.put("warm up", b"")
    tracemalloc.start()
    put = store.put("large", source)
    digest = store.download(store.stat("large"), copy)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (put.size, digest) == (32 << 20, hashlib.sha256(source.read_bytes()).hexdigest())
    assert peak < 16 << 20


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_works_that_s3_allows(sturdy_store: Store, sturdy_kind: str, key: str, tmp_path: Path) -> None:
    if key in NOT_SERVED.get(sturdy_kind, ()):
        pytest.skip("moto cannot serve such a key")
    if key in REFUSED.get(sturdy_kind, ()):
        with pytest.raises(BadSettings, match="refuses"):
            sturdy_store.put(key, b"odd")
        return
    sturdy_store.put("a beside", b"")
    put = sturdy_store.put(key, b"odd", metadata={"uploader": "\u00e9"})
    assert sturdy_store.stat(key).same_version(put)
    assert sturdy_store.stat(key).metadata == {"uploader": "\u00e9"}
    assert sturdy_store.read(key) == b"odd"
    assert sturdy_store.download(put, tmp_path / "copy") == hashlib.sha256(b"odd").hexdigest()
    assert keys_of(sturdy_store) == sorted(["a beside", key])
    assert key in keys_of(sturdy_store, key[:-1])
    assert sturdy_store.copy(put, "copied").etag == put.etag
    sturdy_store.remove(key)
    assert keys_of(sturdy_store) == ["a beside", "copied"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "store") == ["copy"]


@pytest.mark.parametrize("order", [("a", "a/b", "a/b/c"), ("a/b/c", "a/b", "a"), ("a/b", "a", "a/b/c")])
def test_a_key_may_be_the_beginning_of_another(store: Store, order: tuple[str, ...]) -> None:
    for key in order:
        store.put(key, key.encode())
    assert keys_of(store) == sorted(order)
    for _ in range(2):
        assert [store.read(key) for key in order] == [key.encode() for key in order]
        for key in order:
            store.put(key, key.encode())
    for gone, key in enumerate(order, start=1):
        store.remove(key)
        assert keys_of(store) == sorted(order[gone:])


@pytest.mark.parametrize("value", METADATA)
def test_metadata_comes_back_as_it_was_given(store: Store, value: str) -> None:
    put = store.put("key", b"x", metadata={"Uploader": value})
    assert store.stat("key").metadata == {"uploader": value}
    store.copy(put, "copy")
    assert store.stat("copy").metadata == {"uploader": value}


# Lists


def test_a_list_holds_what_begins_with_the_prefix(store: Store) -> None:
    for key in ("input/a", "input/b/c", "inputs", "output/a", "state/x"):
        store.put(key, b"x", metadata={"a": "b"})
    assert keys_of(store, "input/") == ["input/a", "input/b/c"]
    assert keys_of(store, "input") == ["input/a", "input/b/c", "inputs"]
    assert keys_of(store, "input/b") == ["input/b/c"]
    assert keys_of(store, "nothing") == []
    assert keys_of(store, "input/a/") == []


def test_a_list_says_the_same_as_a_look_at_each_object(store: Store) -> None:
    for key in ("a", "b"):
        store.put(key, b"old")
        store.put(key, key.encode(), metadata={"a": "b"})
    listed = list(store.list(""))
    assert sorted(found.key for found in listed) == ["a", "b"]
    assert all(store.stat(found.key).same_version(found) for found in listed)
    assert all(found.metadata == {} for found in listed)


@pytest.mark.parametrize("sturdy_kind", [STURDY[0], STURDY[-1]], indirect=True)
def test_a_list_has_no_end_at_a_thousand(sturdy_store: Store) -> None:
    names = [f"state/{number}/claim" for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: sturdy_store.put(name, b""), names))
    assert keys_of(sturdy_store, "state/") == sorted(names)


# Versions


def test_an_overwritten_object_is_not_downloaded_for_the_old_one(store: Store, kind: str, tmp_path: Path) -> None:
    old = store.put("input/a.png", b"old")
    store.put("input/a.png", b"new")
    if kind.endswith("versioned"):
        assert store.download(old, tmp_path / "copy") == hashlib.sha256(b"old").hexdigest()
        assert store.stat("input/a.png", old.version).same_version(old)
    else:
        with pytest.raises(Overwritten):
            store.download(old, tmp_path / "copy")


def test_an_overwritten_object_is_not_copied_for_the_old_one(store: Store, kind: str) -> None:
    store.put("archive/a.png", b"earlier")
    old = store.put("input/a.png", b"old")
    store.put("input/a.png", b"new")
    if kind.endswith("versioned"):
        store.copy(old, "archive/a.png")
        assert store.read("archive/a.png") == b"old"
    else:
        with pytest.raises(Overwritten):
            store.copy(old, "archive/a.png")
        assert store.read("archive/a.png") == b"earlier"


def test_a_copy_leaves_its_source_and_is_an_object_of_its_own(store: Store) -> None:
    source = store.put("input/a.png", b"picture")
    copied = store.copy(source, "archive/a.png", storage_class="STANDARD_IA")
    assert (copied.key, copied.etag, copied.size) == ("archive/a.png", source.etag, source.size)
    assert store.stat("archive/a.png").same_version(copied)
    store.remove("input/a.png")
    assert store.read("archive/a.png") == b"picture"


def test_a_delete_takes_the_very_version(store: Store, kind: str) -> None:
    target = store.put("input/a.png", b"picture")
    if not can_delete(kind):
        with pytest.raises(UnsafeDelete, match="versioning"):
            store.delete(target)
        assert keys_of(store) == ["input/a.png"]
        return
    store.delete(target)
    assert keys_of(store) == []
    store.delete(target)


@pytest.mark.parametrize("newer", [b"another picture", b"picture"])
def test_a_delete_spares_what_was_put_since(store: Store, kind: str, newer: bytes) -> None:
    target = store.put("input/a.png", b"picture")
    outlive_the_second(kind)
    since = store.put("input/a.png", newer)
    if kind.endswith("versioned"):
        store.delete(target)
        with pytest.raises(NotFound):
            store.stat("input/a.png", target.version)
    else:
        with pytest.raises(Overwritten):
            store.delete(target)
    assert store.stat("input/a.png").same_version(since)
    assert store.read("input/a.png") == newer


def test_trying_what_a_store_can_do_leaves_nothing_behind(store: Store, kind: str) -> None:
    target = store.put("a", b"1")
    store.put("claim", b"1", if_absent=True)
    store.put("claim", b"2", if_match=md5(b"1"))
    if can_delete(kind):
        store.delete(target)
    else:
        store.remove("a")
    store.remove("claim")
    assert keys_of(store) == []


# What is not there


def test_what_is_missing_is_not_found(store: Store, tmp_path: Path) -> None:
    gone = store.put("gone", b"x")
    store.remove("gone")
    with pytest.raises(NotFound, match="gone"):
        store.stat("gone")
    with pytest.raises(NotFound, match="gone"):
        store.read("gone")
    with pytest.raises(NotFound):
        store.download(gone, tmp_path / "copy")
    with pytest.raises(NotFound):
        store.copy(gone, "copy")
    with pytest.raises(NotFound):
        store.stat("gone", "no-such-version")
    store.remove("gone")
    store.delete(gone)
    assert keys_of(store) == []


def test_the_address_leads_a_person_to_the_object(store: Store) -> None:
    store.put("output/a b.txt", b"x")
    assert store.address("output/a b.txt") == f"{store.uri}/output/a b.txt"
    assert isinstance(next(store.list("output/")), StoredObject)
