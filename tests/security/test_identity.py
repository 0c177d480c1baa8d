"""Two pictures with one MD5: each gets its own words, whatever the store's ETags say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inktally.delivery import Delivery, Upload
from inktally.errors import AccessDenied
from inktally.intake.local import bring
from inktally.settings import Settings, read_settings
from inktally.steps import deliveries
from inktally.steps.deliveries import Needs, identity_of, recalled
from inktally.stores.files import FilesStore, build as folder_store
from inktally.stores.s3 import build as bucket_store
from inktally.stores.s3.headers import base64_of, sha256_of
from tests.support.desks import ENGINE
from tests.support.entries import a_receipt
from tests.support.fixtures import SharedSpark
from tests.support.forks import Forks
from tests.support.machine import Machine, draw, new_machine, words_of
from tests.support.md5_twins import twins
from tests.support.memory_store import MemoryStore
from tests.support.prefect_servers import PrefectServer
from tests.support.servers import S3Server

TRUSTING, WARY = read_settings(trust_etag="md5"), read_settings()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    folder = tmp_path_factory.mktemp("twins")
    first, second = (Image.open(draw(folder / f"{text}.png", text)) for text in ("hand made words", "other things"))
    return twins(first, second)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def needs_of(delivery: Delivery, settings: Settings) -> Needs:
    return Needs(delivery=delivery, engine=ENGINE, identity=identity_of(delivery, settings))


def test_the_twins_are_two_pictures_with_one_md5_and_one_size(pair: tuple[bytes, bytes]) -> None:
    first, second = pair
    assert (md5(first), len(first)) == (md5(second), len(second))
    pixels = [Image.open(BytesIO(content)).convert("L") for content in pair]
    assert pixels[0].size != pixels[1].size


class TestWhatIsBelieved:
    RECEIPT = a_receipt(1)

    def delivery(self, told: str = "") -> Delivery:
        store = MemoryStore()
        store.put("input/page.png", b"some bytes")
        delivery = deliveries.look(store, Upload(key="input/page.png", store=store.uri))
        return delivery.model_copy(update={"picture": delivery.picture.model_copy(update={"sha256": told})})

    def recalled(self, told: str, settings: Settings) -> tuple[bool, bool]:
        """Whether the receipt that is cached for its ETag is taken, and whether it is a hint."""
        found = recalled(needs_of(self.delivery(told), settings), lambda *_: self.RECEIPT)
        return found.receipt is not None, found.hint is not None

    def test_an_etag_alone_is_a_hint(self) -> None:
        assert self.recalled("", WARY) == (False, True)

    def test_unless_the_settings_trust_it(self) -> None:
        assert self.recalled("", TRUSTING) == (True, False)

    @pytest.mark.parametrize("settings", [WARY, TRUSTING])
    def test_a_sha256_decides_where_the_store_tells_one(self, settings: Settings) -> None:
        assert self.recalled(self.RECEIPT.content, settings) == (True, False)
        assert self.recalled(sha256(b"other bytes"), settings) == (False, False)

    def test_pictures_of_a_batch_are_read_together_only_where_their_bytes_are_the_same(self) -> None:
        one, other = self.delivery(), self.delivery()
        other = other.model_copy(update={"picture": other.picture.model_copy(update={"key": "input/other.png"})})
        assert needs_of(one, WARY).content != needs_of(other, WARY).content
        assert needs_of(one, TRUSTING).content == needs_of(other, TRUSTING).content
        told = sha256(b"some bytes")
        assert needs_of(self.delivery(told), WARY).content == needs_of(self.delivery(told), WARY).content


class TestFolder:
    @pytest.fixture
    def store(self, tmp_path: Path) -> FilesStore:
        return folder_store(str(tmp_path / "store"), WARY)

    def test_it_tells_the_sha256_of_what_was_put_copied_or_dropped_in(
        self, store: FilesStore, pair: tuple[bytes, bytes]
    ) -> None:
        store.put("input/put.png", pair[0])
        store.copy(store.stat("input/put.png"), "archive/put.png")
        Path(store.address("input/dropped.png")).write_bytes(pair[1])
        told = {key: store.stat(key).sha256 for key in ("input/put.png", "archive/put.png", "input/dropped.png")}
        assert list(told.values()) == [sha256(pair[0]), sha256(pair[0]), sha256(pair[1])]
        assert {found.sha256 for found in store.list("")} == set(told.values())

    def test_one_of_a_note_of_an_earlier_release_is_not_known(self, store: FilesStore, tmp_path: Path) -> None:
        store.put("input/old.png", b"old")
        (note,) = (tmp_path / "store").rglob("meta/*/*.json")
        note.write_text(note.read_text().replace(sha256(b"old"), "").replace(',"sha256":""', ""))
        found = store.stat("input/old.png")
        assert (found.etag, found.sha256) == (md5(b"old"), "")

    def test_a_local_twin_of_the_same_name_is_not_taken_for_what_was_sent_before(
        self, store: FilesStore, pair: tuple[bytes, bytes], tmp_path: Path
    ) -> None:
        uploads = []
        for number, content in enumerate((*pair, pair[0])):
            (tmp_path / str(number)).write_bytes(content)
            uploads.append(bring(store, tmp_path / str(number), "input/page.png", read_settings(scratch=tmp_path)))
        assert uploads[0].key == uploads[2].key != uploads[1].key
        assert [sha256(store.read(upload.key)) for upload in uploads] == [sha256(pair[number]) for number in (0, 1, 0)]


@pytest.mark.parametrize("kind", ["moto", "ceph"])
class TestBucket:
    """What an S3 store says is believed only where it refuses what is wrong."""

    @pytest.fixture
    def server(self, kind: str, request: pytest.FixtureRequest) -> S3Server:
        server: S3Server = request.getfixturevalue(kind)
        return server

    @pytest.fixture
    def store(self, server: S3Server) -> Any:
        return bucket_store(f"s3://{server.new_bucket()}", read_settings(s3_endpoint=server.endpoint))

    @pytest.mark.parametrize("stated", ["true", "false"])
    def test_no_sha256_is_believed_that_is_not_of_the_bytes(self, store: Any, server: S3Server, stated: str) -> None:
        from botocore.exceptions import ClientError

        told = sha256(b"bytes" if stated == "true" else b"of another picture")
        stating: Any = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": base64_of(told)}
        try:
            server.client.put_object(Bucket=store.name, Key="input/page.png", Body=b"bytes", **stating)
        except ClientError:
            assert stated == "false"
            return
        assert store.stat("input/page.png").sha256 in {"", sha256(b"bytes")}

    def test_of_a_bucket_that_may_only_be_read_nothing_is_believed(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(*_: object, **__: object) -> None:
            raise AccessDenied("It may not be written to.")

        monkeypatch.setattr(type(store), "put_object", denied)
        assert store.verifies_checksums is False

    def test_what_we_put_ourselves_is_vouched_for_where_the_store_can(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "page.png").write_bytes(b"bytes")
        store.put("input/page.png", tmp_path / "page.png", metadata={})
        expected = sha256(b"bytes") if store.verifies_checksums else ""
        assert store.stat("input/page.png").sha256 == expected
        assert store.download(store.stat("input/page.png"), tmp_path / "copy") == sha256(b"bytes")


def test_a_bucket_that_verifies_checksums_vouches_for_what_we_have_put(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As AWS is said to; moto repeats what was stated, which here is true."""
    store = bucket_store(f"s3://{moto.new_bucket()}", read_settings(s3_endpoint=moto.endpoint))
    monkeypatch.setattr(type(store), "verifies_checksums", True)
    (tmp_path / "page.png").write_bytes(b"bytes")
    store.put("input/page.png", tmp_path / "page.png", metadata={}, if_absent=True)
    store.put("state/marker", b"bytes")
    assert (store.stat("input/page.png").sha256, store.stat("state/marker").sha256) == (sha256(b"bytes"), "")


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_a_checksum_of_parts_is_none_of_the_bytes(kind: str) -> None:
    whole = base64_of(sha256(b"bytes"))
    assert sha256_of({"ChecksumSHA256": whole, "ChecksumType": kind}) == (sha256(b"bytes") * (kind == "FULL_OBJECT"))
    assert {sha256_of({"ChecksumSHA256": told}) for told in (f"{whole}-2", "c2hvcnQ=", "")} == {""}


class TestCommands:
    """The real flows: twins that come together, and one after the other."""

    @pytest.fixture
    def machine(self, tmp_path: Path, forks: Forks, prefect: PrefectServer, spark: SharedSpark) -> Iterator[Machine]:
        servers = {"PREFECT_API_URL": prefect.api, "INKTALLY_SPARK_REMOTE": spark.address}
        with new_machine(tmp_path / "machine", forks, **servers) as made:
            yield made

    @pytest.mark.long
    def test_strangers_twins_in_a_bucket_get_their_own_words_and_the_same_bytes_are_read_once(
        self, s3: S3Server, request: pytest.FixtureRequest, pair: tuple[bytes, bytes]
    ) -> None:
        machine: Machine = request.getfixturevalue("machine")  # after the server, whose credentials it inherits
        machine.environment["INKTALLY_S3_ENDPOINT"] = s3.endpoint
        del machine.environment["INKTALLY_STORE"]
        bucket = s3.new_bucket()
        for name, content in {"a": pair[0], "b": pair[1], "c": pair[0], "d": pair[1]}.items():
            s3.client.put_object(Bucket=bucket, Key=f"input/{name}.png", Body=content)
        for names in ("ab", "c", "d"):
            run = machine.run(*(f"s3://{bucket}/input/{name}.png" for name in names), "--json")
            assert [each["error"] for each in run.objects] == [None] * len(names)
        words = {}
        for name in "abcd":
            written = s3.client.get_object(Bucket=bucket, Key=f"output/word_counts/{name}.png.json")["Body"].read()
            (machine.folder / name).write_bytes(written)
            words[name] = set(words_of(machine.folder / name))
        assert words["a"] == words["c"] == {"hand", "made", "words"}
        assert words["b"] == words["d"] == {"other", "things"}
        assert machine.recognitions() == 2

    def test_so_do_those_of_a_batch(self, machine: Machine, pair: tuple[bytes, bytes]) -> None:
        machine.command = (*machine.command[:2], "flows.batch_flow")
        pages = machine.folder / "pages"
        pages.mkdir()
        for name, content in {"a": pair[0], "b": pair[1], "c": pair[0]}.items():
            (pages / f"{name}.png").write_bytes(content)
        run = machine.run(pages, "--json")
        assert run.only["tally"]["answered"] == 3, run.stdout
        words = {path.name[0]: set(words_of(path)) for path in (machine.store / "output/word_counts").rglob("*.json")}
        assert words["a"] == words["c"] == {"hand", "made", "words"}
        assert words["b"] == {"other", "things"}
        assert machine.recognitions() == 2
