"""One Prefect server and one Spark Connect server for the session, and users' machines to run the command on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import samples
from tests.support.machine import Machine, new_machine, server_environment
from tests.support.prefect_servers import PrefectServer, new_server, running_postgres
from tests.support.servers import running_spark


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    samples.render(folder)
    return folder


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A real server; with PostgreSQL where that is installed, since a busy SQLite may be locked for a minute."""
    with running_postgres() as database:
        server = new_server(tmp_path_factory.mktemp("prefect"), database)
        with server.running():
            yield server


@pytest.fixture(scope="session")
def prefect_server(prefect: PrefectServer) -> str:
    """The address of its API."""
    return prefect.api


@pytest.fixture(scope="session")
def spark_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Spark Connect server."""
    with server_environment(), running_spark(tmp_path_factory.mktemp("spark")) as server:
        yield server.address


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Without any configured Prefect API, with a new home, and with Spark in each process."""
    with new_machine(tmp_path) as made:
        yield made


@pytest.fixture
def connected(tmp_path: Path, prefect_server: str, spark_server: str) -> Iterator[Machine]:
    """A machine that has running servers: of Prefect, and of Spark."""
    servers = {"PREFECT_API_URL": prefect_server, "INKTALLY_SPARK_REMOTE": spark_server}
    with new_machine(tmp_path, **servers) as made:
        yield made
