"""From what is typed to pictures and their keys."""

from pathlib import Path

from inktally.intake.named import input_keys, named_pictures


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_gives_its_pictures_in_order_with_their_folders(tmp_path: Path) -> None:
    touched(tmp_path, "b.PNG", "a/1.tiff", "notes.txt", ".hidden/x.png", ".y.png")
    pictures = named_pictures([str(tmp_path)])
    assert list(input_keys(pictures).values()) == ["input/a/1.tiff", "input/b.PNG"]


def test_a_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touched(tmp_path, "scan.dat")
    assert list(input_keys(named_pictures([str(tmp_path / "scan.dat")])).values()) == ["input/scan.dat"]


def test_files_of_the_same_name_keep_the_folders_that_tell_them_apart(tmp_path: Path) -> None:
    touched(tmp_path, "x/1/a.png", "y/1/a.png", "y/b.png")
    named = named_pictures([str(tmp_path / name) for name in ("x/1/a.png", "y/1/a.png", "y/b.png")])
    assert list(input_keys(named).values()) == ["input/x/1/a.png", "input/y/1/a.png", "input/b.png"]


def test_a_missing_file_and_an_empty_folder_are_named_in_their_errors(tmp_path: Path) -> None:
    missing, empty = named_pictures([str(tmp_path / "none.png"), str(tmp_path)])
    assert missing.error is not None
    assert "none.png" in str(missing.error)
    assert empty.error is not None
    assert str(tmp_path) in str(empty.error)


def test_an_s3_uri_is_taken_as_it_is_typed() -> None:
    (picture,) = named_pictures(["s3://bucket/input/a b+c%20?#.png"])
    assert (picture.store, picture.key) == ("s3://bucket", "input/a b+c%20?#.png")


def test_a_name_that_is_no_utf_8_becomes_a_key_that_is(tmp_path: Path) -> None:
    path = Path(str(tmp_path)) / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    path.touch()
    (key,) = input_keys(named_pictures([str(tmp_path)])).values()
    assert key == r"input/caf\xe9.png"
