"""The servers that tests share, as fixtures.

Every test run reads this file, also of unit tests alone: what servers need is imported when they are asked for.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.openings import PROGRAMS
from tests.support.shelf import Kind, LentShelf, OwnShelf, Shelf, lent

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from inktally.settings import Settings
    from tests.support.forks import Forks
    from tests.support.prefect_servers import PrefectServer
    from tests.support.servers import S3Server
    from tests.support.stack import Shared

POOL = "shared"
STRANGERS = ("inktally", "spark_jobs", "tests", "boto3")
REFUSE = f"""
import pathlib, sys
class Refuse:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {STRANGERS!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse)
(pathlib.Path(__file__).parent / "was-here").touch()
"""


@dataclass(frozen=True)
class SharedSpark:
    """A Spark Connect server that can import nothing of ours, and has the credentials of the S3 servers."""

    address: str
    log: Path
    strangers: Path
    """Where each Python of its leaves a file `was-here`."""


@contextmanager
def _ceph(_: Shelf) -> Iterator[S3Server]:
    from tests.support.servers import running_ceph

    with running_ceph() as server:
        yield replace(server, gateway=None)  # who kills it needs one of their own


@contextmanager
def _moto(_: Shelf) -> Iterator[S3Server]:
    from tests.support.servers import running_moto

    with running_moto() as server:
        yield server


@contextmanager
def _spark(_: Shelf) -> Iterator[SharedSpark]:
    from tests.support.machine import environment_of_servers
    from tests.support.servers import ENVIRONMENT, running_spark

    with tempfile.TemporaryDirectory(prefix="inktally-spark-", ignore_cleanup_errors=True) as name:
        folder, strangers = Path(name), refuse_ours(Path(name) / "strangers")
        python = {"PYTHONPATH": strangers, "PYSPARK_PYTHON": sys.executable, "SPARK_CONNECT_MODE_ENABLED": "1"}
        with running_spark(folder, environment_of_servers(**python, **ENVIRONMENT)) as server:
            yield SharedSpark(server.address, server.server.log, strangers)


@contextmanager
def _prefect(_: Shelf) -> Iterator[PrefectServer]:
    """With PostgreSQL where that is installed, since a busy SQLite may be locked for a minute."""
    from tests.support.prefect_servers import new_server, running_postgres

    with running_postgres() as database, tempfile.TemporaryDirectory(prefix="inktally-prefect-") as home:
        server = new_server(Path(home), database)
        with server.running():
            yield server


@contextmanager
def _forks(_: Shelf) -> Iterator[Forks]:
    from tests.support.forks import running_forks

    with running_forks() as forks:
        yield forks


@contextmanager
def _worker(shelf: Shelf) -> Iterator[str]:
    """A warm worker on the shared Prefect, whose runs have the variables of their deployments: its pool."""
    from deployments.up.prefect import PROGRAM
    from tests.support.machine import environment_of_servers
    from tests.support.servers import process, wait_until

    prefect: PrefectServer = shelf.get("prefect")
    prefect.make_pool(shelf.get("forks"), POOL)
    with tempfile.TemporaryDirectory(prefix="inktally-worker-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        own = environment_of_servers(HOME=folder, PREFECT_API_URL=prefect.api, INKTALLY_SCRATCH=folder)
        command = [str(PROGRAM), "worker", "start", "--pool", POOL, "--type", "warm-process"]
        with process(command, log, own) as worker:
            wait_until(lambda: b"started!" in log.read_bytes(), worker)
            yield POOL


@contextmanager
def _sandbox(_: Shelf) -> Iterator[Mapping[str, str]]:
    """Children that have imported what reading needs, as the warm worker has them; what a command is told of them."""
    from deployments.warm.start import SharedSandbox
    from inktally.reading.reader import PRELOADED

    children = SharedSandbox(Path(__file__).parents[2], PRELOADED)
    try:
        yield children.variables
    finally:
        children.hang_up()


KINDS: dict[str, Kind] = {
    "ceph": _ceph,
    "moto": _moto,
    "spark": _spark,
    "prefect": _prefect,
    "forks": _forks,
    "worker": _worker,
    "sandbox": _sandbox,
}


def refuse_ours(folder: Path) -> Path:
    """A PYTHONPATH on which nothing of ours can be imported; every Python with it leaves a file there."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSE)
    return folder


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Whoever is started by hand owns the servers."""
    given = getattr(config, "workerinput", {}).get("shelf")
    if given:
        config.stash[SHELF] = LentShelf(given)
        return
    PROGRAMS.mkdir(exist_ok=True)
    os.environ["PATH"] = f"{os.environ['PATH']}{os.pathsep}{PROGRAMS}"
    config.stash[SHELF] = own = OwnShelf(KINDS)
    stack = ExitStack()
    config.add_cleanup(stack.close)
    stack.callback(own.close)
    config.stash[ADDRESS] = stack.enter_context(lent(own))
    if config.getoption("numprocesses", None) and any(
        END_TO_END.is_relative_to(Path(each).resolve()) for each in config.args
    ):
        own.begin(["forks", "prefect", "spark", _best_s3(), "worker", "sandbox"])


def _best_s3() -> str:
    from deployments.up.ceph import is_installed

    return "ceph" if is_installed() else "moto"


def pytest_configure_node(node: pytest.Item) -> None:
    """Tell a process of xdist where they are."""
    node.workerinput["shelf"] = node.config.stash[ADDRESS]  # type: ignore[attr-defined]


END_TO_END = Path(__file__).parents[1] / "e2e"
SHELF = pytest.StashKey[Shelf]()
ADDRESS = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def shelf(pytestconfig: pytest.Config) -> Shelf:
    return pytestconfig.stash[SHELF]


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[None]:
    """boto3's own environment variables, for stores that are built from settings."""
    from tests.support.servers import ENVIRONMENT

    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def moto(shelf: Shelf, s3_environment: None) -> S3Server:  # noqa: ARG001
    server: S3Server = shelf.get("moto")
    return server


@pytest.fixture(scope="session")
def ceph(shelf: Shelf, s3_environment: None) -> S3Server:  # noqa: ARG001
    """Skips where Ceph is not installed; `s3` falls back to moto."""
    if _best_s3() != "ceph":
        pytest.skip("Ceph is not installed (ceph-mon ceph-osd radosgw ceph-common)")
    server: S3Server = shelf.get("ceph")
    return server


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> S3Server:
    """The best S3 server there is: Ceph, else moto."""
    server: S3Server = request.getfixturevalue(_best_s3())
    return server


@pytest.fixture(scope="session")
def spark(shelf: Shelf) -> SharedSpark:
    server: SharedSpark = shelf.get("spark")
    return server


@pytest.fixture(scope="session")
def prefect(shelf: Shelf) -> PrefectServer:
    """Tests have deployments, pools and triggers of their own there."""
    server: PrefectServer = shelf.get("prefect")
    return server


@pytest.fixture(scope="session")
def shared(shelf: Shelf, prefect: PrefectServer, forks: Forks) -> Shared:
    """The shared Prefect, with a worker that runs what deployments of the pool ask for."""
    from tests.support.stack import Shared

    return Shared(prefect, shelf.get("worker"), forks)


@pytest.fixture(scope="session")
def forks(shelf: Shelf) -> Forks:
    """Where commands start in milliseconds."""
    found: Forks = shelf.get("forks")
    return found


@pytest.fixture(scope="session")
def sandbox(shelf: Shelf) -> Mapping[str, str]:
    """What a command is told of children that read pictures for all, and need not be started."""
    found: Mapping[str, str] = shelf.get("sandbox")
    return found


@pytest.fixture(scope="session")
def prefect_client(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect.api}), get_client(sync_client=True) as made:
        yield made


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Scratch folders of their own, and the quick start of Spark that `make` leaves; made here where it did not."""
    from deployments import class_data
    from inktally.settings import read_settings

    made = read_settings(scratch=tmp_path_factory.mktemp("scratch"))
    class_data.prepare(made)
    return made
