"""One Spark for all tests of this folder, which one process runs, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inktally import plugins
from inktally.counters.spark import SparkCounter, build
from inktally.ports import Store
from inktally.settings import Settings
from tests.support.parts import Large, skewed
from tests.support.sparks import tokens


@pytest.fixture(scope="session")
def counter(
    prepared: Settings,
    s3_environment: None,  # noqa: ARG001 - its JVM has the credentials from there
) -> Iterator[SparkCounter]:
    """In a JVM of this process. A count that fails ends it, so such tests ask a Connect server, or come last."""
    shared = build(prepared)
    shared.close()  # the one that tests of another file may have left knows no credentials
    shared.count({"": tokens("word")})
    yield shared
    shared.close()


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return plugins.store(str(tmp_path / "store"), Settings(_env_file=None))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    """A folder with a batch that takes some seconds, and its keys."""
    store = plugins.store(str(tmp_path_factory.mktemp("large")), Settings(_env_file=None))
    return store, *skewed(600_000).put(store, "in/")
