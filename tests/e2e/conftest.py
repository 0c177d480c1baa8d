"""One Prefect server and one Spark Connect server for the session, and users' machines to run the command on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import samples
from tests.e2e.machine import Machine, new_machine, server_environment
from tests.servers import answers, free_port, process, running_spark, wait_until


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    samples.render(folder)
    return folder


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the session's server, with its database and its log."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect_server(prefect_home: Path) -> Iterator[str]:
    """The address of the API of a real server."""
    port = free_port()
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with server_environment(PREFECT_HOME=prefect_home), process(command, prefect_home / "server.log") as server:
        address = f"http://127.0.0.1:{port}/api"
        wait_until(lambda: answers(f"{address}/health"), server)
        yield address


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
