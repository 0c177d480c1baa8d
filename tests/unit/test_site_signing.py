"""Links of the site: signed, for one purpose, and only for a time."""

from __future__ import annotations

import stat
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from inktally.errors import BadSettings, LinkExpired, UnknownLink
from inktally.mail.links import Signer, signer
from inktally.settings import Settings

SIGNER = Signer("a secret that is long enough for this")


def test_what_was_signed_is_opened_again() -> None:
    assert SIGNER.open("upload", SIGNER.sign("upload", ["ä", "b"]), 60) == ["ä", "b"]


def test_a_token_is_none_for_another_purpose_or_with_another_secret() -> None:
    token = SIGNER.sign("upload", ["a"])
    with pytest.raises(UnknownLink):
        SIGNER.open("confirm", token, 60)
    with pytest.raises(UnknownLink):
        Signer("another secret that is long enough").open("upload", token, 60)


@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_changed_token_is_none(place: int) -> None:
    token = SIGNER.sign("upload", ["a"])
    letters = list(token)
    letters[place] = "A" if letters[place] != "A" else "Q"
    with pytest.raises(UnknownLink):
        SIGNER.open("upload", "".join(letters), 60)


def test_a_token_expires() -> None:
    with pytest.raises(LinkExpired):
        SIGNER.open("upload", SIGNER.sign("upload", ["a"]), -1)


def test_the_machines_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", _env_file=None)
    with ThreadPool(8) as pool:
        tokens = pool.map(lambda _: signer(settings).sign("form", 1), range(8))
    assert all(signer(settings).open("form", token, 60) == 1 for token in tokens)
    assert stat.S_IMODE((tmp_path / "cache" / "site-secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["site-secret"]


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        signer(Settings(site_secret="short", cache=tmp_path, _env_file=None))
