"""Users' machines to run the command on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deployments import samples
from tests.support.fixtures import SharedSpark
from tests.support.forks import Forks
from tests.support.machine import Machine, new_machine
from tests.support.prefect_servers import PrefectServer


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    samples.render(folder)
    return folder


@pytest.fixture(scope="session")
def prefect_server(prefect: PrefectServer) -> str:
    """The address of its API."""
    return prefect.api


@pytest.fixture(scope="session")
def spark_server(spark: SharedSpark) -> str:
    """The address of a real Spark Connect server."""
    return spark.address


@pytest.fixture
def machine(tmp_path: Path, forks: Forks) -> Iterator[Machine]:
    """Without any configured Prefect API, with a new home, and with Spark in each process."""
    with new_machine(tmp_path, forks) as made:
        yield made


@pytest.fixture
def connected(
    tmp_path: Path, forks: Forks, prefect_server: str, spark_server: str, sandbox: Mapping[str, str]
) -> Iterator[Machine]:
    """A machine that has running servers: of Prefect, of Spark, and the children that read; see OWN_CHILDREN."""
    servers = {"PREFECT_API_URL": prefect_server, "INKTALLY_SPARK_REMOTE": spark_server}
    with new_machine(tmp_path, forks, **servers, **sandbox) as made:
        yield made
