"""A Spark Connect server, from the pip package."""

from collections.abc import Callable
from pathlib import Path

from deployments.up.checks import port_answers
from deployments.up.supervisor import Service
from inktally.counters.spark.java import pyspark_home

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


def service(folder: Path, port: int, then: Callable[[], None] = lambda: None) -> Service:
    """It keeps its files in `folder`."""
    settings = {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.extraJavaOptions": f'-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-Djava.io.tmpdir={folder}"',
    }
    options = [f"--conf={name}={value}" for name, value in settings.items()]
    command: list[str | Path] = [pyspark_home() / "bin" / "spark-submit", *options, "--class", SERVER, "spark-internal"]
    return Service("spark", command, is_up=lambda: port_answers(port), then=then)
