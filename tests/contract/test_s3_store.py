"""What only an S3 store can get wrong: credentials, networks, and servers that honour fewer conditions."""

from __future__ import annotations

import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests

from inktally import keys
from inktally.delivery import StoredObject
from inktally.errors import AccessDenied, BadSettings, NotFound, Overwritten, StoreDown, UnsafeDelete
from inktally.ports import Store
from inktally.settings import Settings
from inktally.stores.s3 import build
from inktally.stores.s3.bucket import ATTEMPTS
from tests.support.proxy import Fate, proxied
from tests.support.servers import REGION, S3Server, free_port


def opened(server: S3Server, *, versioned: bool = False) -> tuple[Store, str]:
    """A store in a new bucket, and the bucket's name."""
    bucket = server.new_bucket(versioned=versioned)
    return build(f"s3://{bucket}", server.settings()), bucket


def versions_of(server: S3Server, bucket: str) -> list[str]:
    """Every version and delete marker in a bucket."""
    answer = server.client.list_object_versions(Bucket=bucket)
    return [
        f"{entry['Key']} {entry['VersionId']}" for entry in answer.get("Versions", []) + answer.get("DeleteMarkers", [])
    ]


# Settings and errors


@pytest.mark.parametrize("uri", ["s3://", "s3://bucket/prefix", "s3://bucket//", "s3:///key"])
def test_a_store_is_a_bucket_and_nothing_below_it(uri: str) -> None:
    with pytest.raises(BadSettings, match="s3://bucket"):
        build(uri, Settings(_env_file=None))


def test_a_bucket_is_opened_once_and_not_touched_by_that() -> None:
    settings = Settings(s3_endpoint="http://127.0.0.1:1", _env_file=None)
    assert build("s3://bucket", settings) is build("s3://bucket/", settings)
    assert build("s3://bucket", settings).uri == "s3://bucket"


def test_a_missing_bucket_is_named(s3: S3Server, tmp_path: Path) -> None:
    store = build("s3://no-such-bucket", s3.settings())
    ghost = StoredObject(key="a", etag="0" * 32, size=1, modified="2026-01-01T00:00:00Z")
    for attempt in (
        lambda: store.stat("a"),
        lambda: store.read("a"),
        lambda: store.put("a", b""),
        lambda: store.put("a", b"", if_absent=True),
        lambda: store.download(ghost, tmp_path / "a"),
        lambda: store.remove("a"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(BadSettings, match="no bucket no-such-bucket"):
            attempt()


@pytest.mark.usefixtures("s3_environment")
def test_an_endpoint_without_a_server_is_named_within_seconds() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    store = build("s3://bucket", Settings(s3_endpoint=endpoint, s3_region=REGION, _env_file=None))
    began = time.monotonic()
    with pytest.raises(StoreDown, match=endpoint):
        store.stat("a")
    assert time.monotonic() - began < 8


@pytest.mark.usefixtures("s3_environment")
def test_an_endpoint_that_is_no_address_is_a_setting_to_mend() -> None:
    with pytest.raises(BadSettings, match="No S3 client"):
        build("s3://bucket", Settings(s3_endpoint="no address", _env_file=None)).stat("a")


def test_wrong_credentials_are_denied(ceph: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store, bucket = opened(ceph)
    store.put("a", b"")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    stranger = build(f"s3://{bucket}", Settings(s3_endpoint=by_another_name(ceph), _env_file=None))
    for attempt in (lambda: stranger.stat("a"), lambda: stranger.put("a", b""), lambda: list(stranger.list(""))):
        with pytest.raises(AccessDenied, match="Check the credentials"):
            attempt()


def test_no_credentials_at_all_are_denied(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(AccessDenied, match="no usable credentials"):
        build("s3://bucket", Settings(s3_endpoint=f"{s3.endpoint}/", _env_file=None)).stat("a")


def by_another_name(server: S3Server) -> str:
    """Credentials are read once per endpoint and process; localhost is one that nobody else uses."""
    return server.endpoint.replace("127.0.0.1", "localhost")


def test_a_region_is_not_needed_beside_an_endpoint(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    store = build(f"s3://{s3.new_bucket()}", Settings(s3_endpoint=s3.endpoint, _env_file=None))
    store.put("a", b"1", if_absent=True)
    assert store.read("a") == b"1"


# What servers do otherwise


def test_a_browser_posts_metadata_in_raw_utf8(ceph: S3Server) -> None:
    store, bucket = opened(ceph)
    post = ceph.client.generate_presigned_post(
        bucket,
        "input/a.png",
        Fields={"x-amz-meta-uploader": "J\u00fcrgen \u2713"},
        Conditions=[["starts-with", "$x-amz-meta-uploader", ""]],
    )
    assert requests.post(post["url"], data=post["fields"], files={"file": b"x"}, timeout=10).ok
    assert store.stat("input/a.png").metadata == {"uploader": "J\u00fcrgen \u2713"}


def test_a_storage_class_that_the_store_does_not_have_hinders_no_copy(
    ceph: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    store, _ = opened(ceph)
    store.copy(store.put("a", b"picture"), "archive/a", storage_class="STANDARD_IA")
    assert store.read("archive/a") == b"picture"
    assert "STANDARD_IA" in caplog.text


def test_a_storage_class_that_the_store_has_is_used(moto: S3Server) -> None:
    store, bucket = opened(moto)
    store.copy(store.put("a", b"picture"), "archive/a", storage_class="STANDARD_IA")
    assert moto.client.head_object(Bucket=bucket, Key="archive/a")["StorageClass"] == "STANDARD_IA"


@pytest.mark.parametrize("name", ["ceph", "moto"])
def test_book_keeping_leaves_no_versions_behind(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    store, bucket = opened(server, versioned=True)
    lease = store.put("locks/a", b"1", if_absent=True)
    with pytest.raises(Overwritten):
        store.put("locks/a", b"2", if_absent=True)
    store.put("locks/a", b"3", if_match=lease.etag)
    store.remove("locks/a")
    assert versions_of(server, bucket) == []


def test_a_versioned_picture_is_deleted_without_a_marker(s3: S3Server) -> None:
    store, bucket = opened(s3, versioned=True)
    store.put("input/a", b"old")
    store.delete(store.put("input/a", b"new"))
    assert len(versions_of(s3, bucket)) == 1
    assert store.read("input/a") == b"old"


def test_what_a_person_deleted_may_be_claimed_again(s3: S3Server) -> None:
    store, bucket = opened(s3, versioned=True)
    store.put("locks/a", b"1", if_absent=True)
    s3.client.delete_object(Bucket=bucket, Key="locks/a")
    time.sleep(0.01)
    store.put("locks/a", b"2", if_absent=True)
    assert store.read("locks/a") == b"2"
    with pytest.raises(Overwritten):
        store.put("locks/a", b"3", if_absent=True)


def test_a_bucket_whose_versioning_is_suspended_works(s3: S3Server) -> None:
    store, bucket = opened(s3, versioned=True)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    put = store.put("locks/a", b"1", if_absent=True)
    assert put.version == ""
    with pytest.raises(Overwritten):
        store.put("locks/a", b"2", if_absent=True)
    renewed = store.put("locks/a", b"2", if_match=put.etag)
    assert [found.same_version(renewed) for found in store.list("")] == [True]
    store.remove("locks/a")
    assert versions_of(s3, bucket) == []


def test_the_turn_of_one_who_died_ends_with_the_lease(ceph: S3Server) -> None:
    store = build(f"s3://{ceph.new_bucket(versioned=True)}", ceph.settings(lease_seconds=1))
    lease = store.put("locks/a", b"1")
    dead = store.put(keys.lock("turn locks/a"), b"dead")
    began = time.monotonic()
    store.put("locks/a", b"2", if_match=lease.etag)
    assert 0.5 < time.monotonic() - began < 8
    with pytest.raises(NotFound):
        store.stat(dead.key)


def test_a_turn_that_was_taken_although_the_answer_was_lost_is_ones_own(ceph: S3Server) -> None:
    bucket = ceph.new_bucket(versioned=True)
    turn = f"/{bucket}/{keys.lock('turn claim')}"
    lost: list[str] = []

    def lose_the_first(request: BaseHTTPRequestHandler) -> Fate | None:
        if lost or (request.command, request.path) != ("PUT", turn):
            return None
        lost.append(request.path)
        return Fate.LOST

    with proxied(ceph.endpoint, lose_the_first) as endpoint:
        store = build(f"s3://{bucket}", Settings(s3_endpoint=endpoint, s3_region=REGION, _env_file=None))
        begun = time.monotonic()
        store.put("claim", b"2", if_match=store.put("claim", b"1").etag)
    assert lost == [turn]
    assert time.monotonic() - begun < 5
    assert [found.key for found in store_at(ceph, bucket).list("")] == ["claim"]


def test_a_turn_that_could_not_be_given_up_holds_up_nobody_here(ceph: S3Server) -> None:
    bucket = ceph.new_bucket(versioned=True)
    refused: list[str] = []

    def refuse_to_delete(request: BaseHTTPRequestHandler) -> HTTPStatus | None:
        is_turn = request.path.startswith(f"/{bucket}/{keys.lock('turn claim')}")
        if request.command != "DELETE" or not is_turn or len(refused) == ATTEMPTS:
            return None
        refused.append(request.path)
        return HTTPStatus.SERVICE_UNAVAILABLE

    with proxied(ceph.endpoint, refuse_to_delete) as endpoint:
        store = build(f"s3://{bucket}", Settings(s3_endpoint=endpoint, s3_region=REGION, _env_file=None))
        first = store.put("claim", b"1")
        begun = time.monotonic()
        second = store.put("claim", b"2", if_match=first.etag)
        store.put("claim", b"3", if_match=second.etag)
    assert len(refused) == ATTEMPTS
    assert time.monotonic() - begun < 8
    assert [found.key for found in store_at(ceph, bucket).list("")] == ["claim"]


def store_at(server: S3Server, bucket: str) -> Store:
    return build(f"s3://{bucket}", server.settings())


def test_a_store_that_ignores_conditional_writes_is_refused(moto: S3Server) -> None:
    with proxied(moto.endpoint, forget_conditions) as endpoint:
        store = build(f"s3://{moto.new_bucket()}", Settings(s3_endpoint=endpoint, s3_region=REGION, _env_file=None))
        target = store.put("a", b"1")
        for _ in range(2):
            with pytest.raises(BadSettings, match="ignores conditional writes"):
                store.put("a", b"2", if_absent=True)
        with pytest.raises(BadSettings, match="ignores conditional writes"):
            store.put("a", b"2", if_match=target.etag)
        with pytest.raises(UnsafeDelete):
            store.delete(target)
        assert [found.key for found in store.list("")] == ["a"]
        assert store.read("a") == b"1"


def test_turns_are_taken_where_versions_are_kept_and_conditions_ignored(moto: S3Server) -> None:
    with proxied(moto.endpoint, forget_conditions) as endpoint:
        bucket = moto.new_bucket(versioned=True)
        store = build(f"s3://{bucket}", Settings(s3_endpoint=endpoint, s3_region=REGION, _env_file=None))
        first = store.put("a", b"1", if_absent=True)
        with pytest.raises(Overwritten):
            store.put("a", b"2", if_absent=True)
        second = store.put("a", b"2", if_match=first.etag)
        with pytest.raises(Overwritten):
            store.put("a", b"3", if_match=first.etag)
        assert store.stat("a").same_version(second)


def test_a_source_that_is_overwritten_while_it_is_copied_leaves_no_copy(moto: S3Server) -> None:
    bucket = moto.new_bucket()

    def overwrite_first(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("x-amz-copy-source"):
            moto.client.put_object(Bucket=bucket, Key="input/a", Body=b"newer")

    with proxied(moto.endpoint, overwrite_first) as endpoint:
        store = build(f"s3://{bucket}", Settings(s3_endpoint=endpoint, s3_region=REGION, _env_file=None))
        source = store.put("input/a", b"picture")
        with pytest.raises(Overwritten):
            store.copy(source, "archive/a")
        assert [found.key for found in store.list("")] == ["input/a"]


def forget_conditions(request: BaseHTTPRequestHandler) -> None:
    del request.headers["If-None-Match"]
    del request.headers["If-Match"]
