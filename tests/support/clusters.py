"""A Spark cluster for tests: a master and workers of one core each, from the pip package, on the loopback."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inktally.counters.spark.java import pyspark_home
from tests.support.servers import free_port, process
from tests.support.waiting import wait_until

MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
ENVIRONMENT = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", "PYSPARK_PYTHON": sys.executable}


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `address` is what a driver is told."""

    address: str


@contextmanager
def running_cluster(folder: Path, workers: int = 2, *, pinned: bool = False, memory: str = "1g") -> Iterator[Cluster]:
    """A master and its workers, which keep their files in `folder`; `pinned`: each on a core of its own."""
    port, log = free_port(), folder / "master.log"
    address = f"spark://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        ports = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(free_port())]
        started = [stack.enter_context(process(_command(MASTER, ports), log))]
        wait_until(lambda: "New state: ALIVE" in log.read_text("utf-8"), *started)
        cores = sorted(os.sched_getaffinity(0))
        for number in range(workers):
            options = ["--host", "127.0.0.1", "--webui-port", str(free_port()), "--cores", "1", "--memory", memory]
            command = _command(WORKER, [*options, "--work-dir", str(folder / f"worker-{number}"), address])
            pin = ["taskset", "-c", str(cores[number % len(cores)])] if pinned and shutil.which("taskset") else []
            started.append(stack.enter_context(process([*pin, *command], folder / f"worker-{number}.log")))
        wait_until(lambda: log.read_text("utf-8").count("Registering worker") >= workers, *started)
        yield Cluster(address)


def _command(service: str, options: Sequence[str]) -> list[str]:
    variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    return ["env", *variables, str(pyspark_home() / "bin" / "spark-class"), service, *options]
