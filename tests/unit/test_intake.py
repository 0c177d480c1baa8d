"""How pictures come into the store over the web."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from inktally import keys
from inktally.errors import EmptyPicture, NotAPicture, Overwritten, RecipientRefused, TooLarge, UnsupportedFormat
from inktally.imaging.decoding.formats import HEAD, is_picture, suffix_of
from inktally.intake.web import ID, metadata, new_id, picture_name, receive
from inktally.settings import Settings, read_settings
from inktally.steps.choices import UploadOptions
from inktally.stores import files
from tests.support.memory_store import MemoryStore

PNG = b"\x89PNG\r\n\x1a\n and so on"


def settings(**changes: object) -> Settings:
    return read_settings(_env_file=None, **changes)


def test_a_picture_stands_below_an_unguessable_id_with_address_and_language() -> None:
    store = MemoryStore()
    received = receive(store, PNG, settings(), name="page 1.png", email="anna@example.org", language="deu")
    found = store.stat(received.upload.key)
    upload_id = keys.web_upload_of(found.key)
    assert received.upload.key == f"input/web/{upload_id}/page 1.png"
    assert found.metadata == {"email": "anna@example.org", "language": "deu"}
    assert store.read(found.key) == PNG
    assert ID.fullmatch(upload_id)


def test_ids_are_never_the_same_and_url_safe() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(ID.fullmatch(each) for each in ids)


@pytest.mark.parametrize("text", ["", "..", "a" * 21, "a" * 23, "a" * 21 + "/", "a" * 21 + "\n", "a" * 22 + "\n"])
def test_what_is_no_id_is_told(text: str) -> None:
    assert not ID.fullmatch(text)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("page.png", "page.png"),
        ("", "picture.png"),
        (".png", "png.png"),
        ("..", "picture.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\scans\\seite.JPG", "seite.JPG"),
        ("notes.txt", "notes.txt.png"),
        ('a "b"\r\nBcc: x@y.z.png', 'a "b"__Bcc: x@y.z.png'),
        ("Größe 字 🦉.jpeg", "Größe 字 🦉.jpeg"),
        ("a\ud800b\0.png", "a_b_.png"),
    ],
)
def test_a_name_keeps_all_that_a_key_can_bear(sent: str, kept: str) -> None:
    assert picture_name(sent, ".png") == kept


@given(st.text(max_size=400))
def test_any_name_gives_a_file_of_its_own_that_is_taken_for_a_picture(name: str) -> None:
    kept = picture_name(name, ".png")
    assert is_picture(kept)
    assert len(f"{kept}.reason.json".encode()) <= 255
    assert not {"/", "\0", "\n"} & set(kept)


def test_without_the_bytes_a_name_must_be_one_of_a_picture() -> None:
    with pytest.raises(UnsupportedFormat, match=r"\.txt is no picture"):
        picture_name("notes.txt")


def test_the_same_upload_comes_once() -> None:
    store = MemoryStore()
    first = receive(store, PNG, settings(), name="a.png")
    with pytest.raises(Overwritten):
        receive(store, PNG, settings(), name="a.png", upload_id=keys.web_upload_of(first.picture.key))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyPicture),
        (b"PK\x03\x04 a ZIP", UnsupportedFormat),
        (b"<html>", NotAPicture),
        (PNG + b"x" * 100, TooLarge),
    ],
)
def test_what_is_no_picture_is_refused_before_it_is_put(content: bytes, error: type[Exception]) -> None:
    store = MemoryStore()
    with pytest.raises(error):
        receive(store, content, settings(max_bytes=100), name="a.png")
    assert not list(store.list("input/"))


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(RecipientRefused):
        receive(MemoryStore(), PNG, settings(), email="a@b\r\nBcc: c@d")


def test_a_file_is_put_into_a_folder_under_its_name(tmp_path: Path) -> None:
    picture = tmp_path / "received"
    picture.write_bytes(PNG)
    store = files.build(str(tmp_path / "store"), settings())
    received = receive(store, picture, settings(), name="../a:b*?.png")
    assert (tmp_path / "store" / received.upload.key).read_bytes() == PNG


def test_wishes_travel_with_the_picture_and_back() -> None:
    wishes = UploadOptions(outputs="pdf,word_counts", min_confidence=62.5, body_only=True)
    assert UploadOptions.of(metadata(wishes=wishes)) == wishes
    assert metadata(wishes=UploadOptions()) == {}


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (PNG, ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"P5 1 1", ".pnm"),
        (b"RIFF\0\0\0\0WEBP", ".webp"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", ".heic"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", ".avif"),
        (b"junk first %PDF-1.7"[:HEAD], ".pdf"),
    ],
)
def test_the_first_bytes_tell_the_suffix(head: bytes, suffix: str) -> None:
    assert suffix_of(head) == suffix
