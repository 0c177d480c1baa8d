"""One Prefect server and one Spark Connect server for the session, and users' machines to run the command on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from deployments import samples
from tests.e2e.machine import Machine, new_machine, server_environment
from tests.servers import answers, free_port, process, wait_until


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
    pyspark = find_spec("pyspark")
    assert pyspark is not None
    assert pyspark.origin is not None
    port, folder = free_port(), tmp_path_factory.mktemp("spark")
    settings = {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.sql.warehouse.dir": str(folder),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir={folder}",
    }
    options = [f"--conf={name}={value}" for name, value in settings.items()]
    service = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    submit = str(Path(pyspark.origin).parent / "bin" / "spark-submit")
    with server_environment(), process([submit, *options, *service], folder / "server.log") as server:
        wait_until(lambda: _listens(port), server)
        yield f"sc://127.0.0.1:{port}"


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


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
