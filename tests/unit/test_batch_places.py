"""Where the pictures of a batch lie: in the results' own store, or in another's that is only read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from weakref import finalize

import pytest

from inktally import keys, plugins
from inktally.batch.mounted import Mounted
from inktally.batch.place import Place, place_of
from inktally.delivery import StoredObject
from inktally.errors import AccessDenied, BadSettings, NotFound
from inktally.settings import Settings
from tests.support.memory_store import MemoryStore

SETTINGS = Settings(_env_file=None)
BUCKET = "s3://bucket"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, cache=tmp_path / "cache")


@pytest.fixture
def mounted() -> Mounted:
    store, source = MemoryStore(), MemoryStore("s3://source")
    store.put("input/own.png", b"own")
    store.put("input/m/hidden.png", b"behind the mount")
    source.put("a/1.png", b"theirs", metadata={"email": "anna@example.org"})
    return Mounted(store, source, "input/m/")


def found(place: Place, settings: Settings) -> list[str]:
    return sorted(each.key for each in place.pictures(place.opened(settings)))


def drop(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_is_mounted_is_read_under_its_new_key(mounted: Mounted, tmp_path: Path) -> None:
    shown = mounted.stat("input/m/a/1.png")
    assert (shown.key, shown.metadata) == ("input/m/a/1.png", {"email": "anna@example.org"})
    assert mounted.read(shown.key) == b"theirs"
    mounted.download(shown, tmp_path / "1.png")
    assert (tmp_path / "1.png").read_bytes() == b"theirs"
    assert mounted.address(shown.key) == "s3://source/a/1.png"


def test_each_side_is_listed_by_itself_and_nothing_behind_the_mount_is_seen(mounted: Mounted) -> None:
    assert [each.key for each in mounted.list("input/m/")] == ["input/m/a/1.png"]
    assert [each.key for each in mounted.list("input/")] == ["input/own.png"]
    with pytest.raises(NotFound):
        mounted.stat("input/m/hidden.png")


def test_what_is_mounted_is_never_written(mounted: Mounted) -> None:
    shown = mounted.stat("input/m/a/1.png")
    for write in (
        lambda: mounted.put("input/m/new.png", b""),
        lambda: mounted.copy(shown, "archive/1.png"),
        lambda: mounted.copy(mounted.stat("input/own.png"), "input/m/own.png"),
        lambda: mounted.delete(shown),
        lambda: mounted.remove(shown.key),
    ):
        with pytest.raises(AccessDenied, match="only read"):
            write()
    mounted.put("output/1.txt", b"words")
    assert mounted.read("output/1.txt") == b"words"


def test_a_folder_appears_below_input_and_nothing_is_written_into_it(tmp_path: Path, settings: Settings) -> None:
    pictures = tmp_path / "pictures"
    for name in ("a.png", "b/c d.jpg", '"q"\nnew line.png', ".hidden.png", ".thumbs/a.png", "notes.txt"):
        drop(pictures / name)
    place = place_of(str(pictures), str(tmp_path / "store"), settings)
    before = sorted(pictures.rglob("*"))
    names = sorted(key.removeprefix(place.mount) for key in found(place, settings))
    assert place.mount.startswith(f"{keys.INPUT}pictures-")
    assert names == ['"q"\nnew line.png', "a.png", "b/c d.jpg"]
    assert sorted(pictures.rglob("*")) == before


def test_names_that_are_no_utf_8_and_links_are_left_out(tmp_path: Path, settings: Settings) -> None:
    drop(tmp_path / "pictures" / "a.png")
    (tmp_path / "pictures" / "link.png").symlink_to("a.png")
    drop(Path(os.fsdecode(os.fsencode(tmp_path) + b"/pictures/\xff.png")))
    place = place_of(str(tmp_path / "pictures"), str(tmp_path / "store"), settings)
    assert found(place, settings) == [f"{place.mount}a.png"]


def test_a_folder_in_the_store_is_a_prefix_of_it_and_the_store_itself_is_its_input(
    tmp_path: Path, settings: Settings
) -> None:
    for name in ("input/a.png", "input/sub/b.png", "output/ocr_pdf/a.png.pdf", "archive/c.png"):
        drop(tmp_path / name)
    inside = place_of(str(tmp_path / "input" / "sub"), str(tmp_path), settings)
    whole = place_of(str(tmp_path), str(tmp_path), settings)
    assert (inside.mount, inside.prefix, found(inside, settings)) == ("", "input/sub/", ["input/sub/b.png"])
    assert (whole.prefix, found(whole, settings)) == ("input/", ["input/a.png", "input/sub/b.png"])


def test_what_inktally_wrote_is_no_picture_wherever_the_store_lies(tmp_path: Path, settings: Settings) -> None:
    store = tmp_path / "pictures" / "store"
    for path in (
        tmp_path / "pictures" / "a.png",
        store / "output" / "ocr_pdf" / "a.png.pdf",
        store / "input" / "b.png",
    ):
        drop(path)
    around = place_of(str(tmp_path / "pictures"), str(store), settings)
    output = Place(store=str(store), source=str(store), prefix="o")
    assert found(around, settings) == [f"{around.mount}a.png"]
    assert found(output, settings) == []


def test_a_hidden_folder_may_be_named(tmp_path: Path, settings: Settings) -> None:
    drop(tmp_path / "store" / ".scans" / "a.png")
    place = place_of(str(tmp_path / "store" / ".scans"), str(tmp_path / "store"), settings)
    assert found(place, settings) == [".scans/a.png"]


@pytest.mark.parametrize(
    ("named", "store", "place"),
    [
        (BUCKET, "", Place(store=BUCKET, source=BUCKET, prefix="input/")),
        (f"{BUCKET}/scans/2 %/", "", Place(store=BUCKET, source=BUCKET, prefix="scans/2 %/")),
        (f"{BUCKET}/scans/", "s3://other", Place(store="s3://other", source=BUCKET, prefix="scans/")),
        (BUCKET, "s3://other", Place(store="s3://other", source=BUCKET)),
    ],
)
def test_a_place_in_s3_is_a_prefix_and_its_address_names_it_again(named: str, store: str, place: Place) -> None:
    assert place_of(named, store, SETTINGS) == place
    assert place_of(place.address, place.store, SETTINGS) == place


def test_the_address_of_a_folder_names_it_again(tmp_path: Path) -> None:
    for folder in (tmp_path / "50 % 'off'", tmp_path / "store" / "input" / "x"):
        folder.mkdir(parents=True)
        place = place_of(str(folder), str(tmp_path / "store"), SETTINGS)
        assert place_of(place.address, place.store, SETTINGS) == place


@pytest.mark.parametrize("named", ["", "no such folder", "no\udcff such"])
def test_a_folder_that_is_missing_is_said(named: str) -> None:
    with pytest.raises(NotFound, match="There is no folder"):
        place_of(named, "", SETTINGS)


def test_a_folder_whose_name_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(folder).mkdir()
    with pytest.raises(NotFound, match="no UTF-8; rename it"):
        place_of(folder, "", SETTINGS)


def test_places_of_one_name_are_told_apart_and_long_names_still_make_keys() -> None:
    places = [Place(store=BUCKET, source=BUCKET, prefix=prefix) for prefix in ("a/scans/", "b/scans/", "\u00e9" * 500)]
    names = [place.name for place in places]
    assert len(set(names)) == len(names)
    assert max(len(name.encode()) for name in names) < 255


def test_no_two_places_give_their_pictures_outputs_of_the_same_names(tmp_path: Path) -> None:
    bucket = Place(store=str(tmp_path), source="s3://scans")
    (tmp_path / "scans").mkdir()
    folder = Place(store=str(tmp_path), source=str(tmp_path / "scans"))
    mounts = [bucket.mount, folder.mount, "input/scans/"]
    assert len(set(mounts)) == len(mounts)
    assert all(mount.startswith("input/scans") for mount in mounts)


@pytest.mark.parametrize("upload", ["input/scans/1.png", "archive/scans/1.png"])
def test_pictures_whose_outputs_would_have_the_names_of_uploads_are_refused(upload: str) -> None:
    store = MemoryStore()
    for key in (upload, "input/other.png", "scans/2.png", "elsewhere/1.png"):
        store.put(key, b"")
    scans, elsewhere, uploads = (
        Place(store=store.uri, source=store.uri, prefix=prefix) for prefix in ("scans/", "elsewhere/", "input/scans/")
    )
    with pytest.raises(BadSettings, match=f"{upload}.*--store"):
        scans.refuse_names_of_others(store)
    for place in (elsewhere, uploads, Place(store=store.uri, source="s3://scans")):
        place.refuse_names_of_others(store)


def test_a_name_that_cannot_be_printed_still_makes_keys() -> None:
    place = Place(store=BUCKET, source="/pictures/two\nlines\x00")
    assert place.name.isprintable()
    assert place.mount.startswith("input/two_lines_-")


class ManyKeys(MemoryStore):
    """Lists more keys than it has, and knows how many of the objects that it has listed are still held by anybody."""

    held = 0
    most_held = 0

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for number in range(20_000):
            listed = StoredObject(key=f"{prefix}{number}.png", etag=f"{number:032x}", size=1, modified="")
            self.held += 1
            self.most_held = max(self.most_held, self.held)
            finalize(listed, self._let_go)
            yield listed

    def _let_go(self) -> None:
        self.held -= 1


def test_a_listing_is_never_held_in_memory() -> None:
    place, store, listed = Place(store=BUCKET, source=BUCKET, prefix="input/"), ManyKeys(), 0
    pictures = place.pictures(store)
    while window := list(islice(pictures, 256)):
        listed += len(window)
    assert listed == 20_000
    assert store.most_held <= 2 * 256 + 1  # a window, and the one before it until its name is taken


def test_the_opened_store_of_a_place_of_its_own_is_no_mount(tmp_path: Path, settings: Settings) -> None:
    place = Place(store=str(tmp_path), source=str(tmp_path), prefix="input/")
    assert type(place.opened(settings)) is type(plugins.store(str(tmp_path), settings))
