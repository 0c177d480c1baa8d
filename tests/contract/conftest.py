"""Every kind of store that the contract is tested on, each empty at the start of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from inktally import plugins
from inktally.ports import Store
from inktally.settings import Settings
from tests.support.servers import S3Server, ceph_is_installed

KINDS = ["files", "ceph", "ceph-versioned", "moto", "moto-versioned"]
STURDY = ["files", "ceph", "ceph-versioned"] if ceph_is_installed() else ["files", "moto-without-ceph"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store. Moto stays in the list, so that there is an S3 store where Ceph is not installed."""
    return str(request.param)


@pytest.fixture(params=STURDY)
def sturdy_kind(request: pytest.FixtureRequest) -> str:
    """The kinds that many can use at once, and fast."""
    return str(request.param)


@pytest.fixture
def server(kind: str, request: pytest.FixtureRequest) -> S3Server | None:
    return None if kind == "files" else request.getfixturevalue(kind.partition("-")[0])


@pytest.fixture
def store(kind: str, server: S3Server | None, tmp_path: Path) -> Store:
    return _opened(kind, server, tmp_path)


@pytest.fixture
def sturdy_settings(sturdy_kind: str, request: pytest.FixtureRequest) -> Settings:
    """Settings whose `store` is empty, for those who open it themselves."""
    if sturdy_kind == "files":
        return Settings(store=str(request.getfixturevalue("tmp_path") / "store"), _env_file=None)
    server: S3Server = request.getfixturevalue(sturdy_kind.partition("-")[0])
    return server.settings(store=f"s3://{server.new_bucket(versioned=sturdy_kind.endswith('versioned'))}")


@pytest.fixture
def sturdy_store(sturdy_settings: Settings) -> Store:
    return plugins.store(sturdy_settings.store, sturdy_settings)


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return plugins.store(str(tmp_path / "store"), Settings(_env_file=None))


def _opened(kind: str, server: S3Server | None, tmp_path: Path) -> Store:
    if server is None:
        return plugins.store(str(tmp_path / "store"), Settings(_env_file=None))
    bucket = server.new_bucket(versioned=kind.endswith("versioned"))
    return plugins.store(f"s3://{bucket}", server.settings())
