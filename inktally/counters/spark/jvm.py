"""Spark in a JVM of this process: started with few options, killed with the process, and leaving no file behind.

PySpark's own start takes neither a working folder nor a hand on the process, so `bin/spark-submit` is run here with
the variables that PySpark would set. What each option saves: docs/decisions/0003-words-reach-spark-as-a-file.md.
"""

from __future__ import annotations

import atexit
import logging
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from inktally.counters.spark.java import find_java, prepared_spark, pyspark_home
from inktally.errors import CountFailed
from inktally.scratch import scratch_folder
from inktally.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS = {
    "spark.app.name": "inktally",
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.icu.caseMappings.enabled": "false",  # ICU takes a second to get ready; a job that needs it asks for it
}
ALONE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""Of a Spark without other machines."""

QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""For small jobs: the JVM is to be ready soon. What counts millions of words runs twice as fast with both compilers."""

JVM_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # no file of figures in /tmp
    "-Djava.io.tmpdir=.",  # its working folder, which is a scratch folder
)
START_SECONDS = 120
END_SECONDS = 180  # an archive of classes may be written then
NEXT_LOOK = 0.01

GATEWAY = "gateway"  # the file with port and secret
SAID = "said"  # what the JVM says, on whichever output


class Running(NamedTuple):
    """A session, and how to end it in order together with what was started for it."""

    session: SparkSession
    end: Callable[[], None]


def launch(settings: Settings, *, for_parts: bool = False) -> Running:
    """A session in a new JVM, or the one that somebody else has started in this process.

    Raises `MissingTool` without Java, and `CountFailed` with the JVM's last words when it does not start.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._active_spark_context:  # noqa: SLF001 - there is no other way to ask
        return Running(SparkSession.builder.getOrCreate(), lambda: None)
    variables, options = _variables(settings, for_parts=for_parts), _options(settings)
    logging.getLogger().addFilter(_is_no_complaint_of_py4j)
    leftovers = ExitStack()  # before there is a JVM: whenever this process ends, there will be nothing left
    atexit.register(leftovers.close)

    def end() -> None:
        _stop_spark()
        with suppress(subprocess.TimeoutExpired):
            jvm.communicate(timeout=END_SECONDS)  # closes its input, and waits
        leftovers.close()
        atexit.unregister(leftovers.close)

    folder = leftovers.enter_context(scratch_folder(settings.scratch.absolute()))
    try:
        jvm = _start(folder, variables, options, settings.mask)
        leftovers.callback(jvm.wait)  # after the next
        leftovers.callback(jvm.kill)
        return Running(_session(_gateway(folder, jvm), options, variables), end)
    except Exception as error:
        why = _last_words(folder / SAID) or str(error)
        _stop_spark()
        leftovers.close()
        atexit.unregister(leftovers.close)
        raise CountFailed(f"Spark did not start: {why}") from error


def _options(settings: Settings) -> dict[str, str]:
    return OPTIONS | ({"spark.master": settings.spark_master} if settings.spark_master else ALONE)


def _variables(settings: Settings, *, for_parts: bool) -> dict[str, str]:
    """What Spark's start reads from the environment. A SPARK_HOME of the user's own comes first."""
    prepared = prepared_spark(settings.class_data.absolute(), find_java())
    home = prepared if prepared.is_dir() else pyspark_home()
    cluster = settings.spark_master  # whose machines have addresses and perhaps a Python of their own
    return {
        "SPARK_HOME": os.environ.get("SPARK_HOME", str(home)),
        "SPARK_DRIVER_MEMORY": settings.spark_memory,
        "SPARK_SUBMIT_OPTS": " ".join(JVM_OPTIONS if for_parts else (QUICK_COMPILER, *JVM_OPTIONS)),
        "SPARK_CONNECT_MODE": "0",
        "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable) if cluster else sys.executable,
        **({} if cluster else {"SPARK_LOCAL_IP": "127.0.0.1"}),
    }


def _start(
    folder: Path, variables: Mapping[str, str], options: Mapping[str, str], umask: int
) -> subprocess.Popen[bytes]:
    """The JVM ends by itself when its standard input does, that is, however this process dies."""
    told = [f"--conf={name}={value}" for name, value in options.items()]
    with (folder / SAID).open("wb") as said:
        return subprocess.Popen(
            [f"{variables['SPARK_HOME']}/bin/spark-submit", *told, "pyspark-shell"],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=folder,
            umask=umask,  # it writes into folder stores, too
            env={**os.environ, **variables, "_PYSPARK_DRIVER_CONN_INFO_PATH": str(folder / GATEWAY)},
            start_new_session=True,  # so that Ctrl-C reaches only us
        )


def _gateway(folder: Path, jvm: subprocess.Popen[bytes]) -> Any:
    """PySpark's connection to the JVM, once that has told its port and secret."""
    from pyspark.java_gateway import launch_gateway

    deadline = time.monotonic() + START_SECONDS
    while not (folder / GATEWAY).exists():
        if jvm.poll() is not None:
            raise CountFailed(f"its JVM ended with status {jvm.returncode}")
        if time.monotonic() > deadline:
            raise CountFailed(f"its JVM was not ready after {START_SECONDS} seconds")
        time.sleep(NEXT_LOOK)
    told = (folder / GATEWAY).read_bytes()
    (folder / GATEWAY).unlink()
    port, length = struct.unpack_from(">ii", told)
    secret = told[8 : 8 + length].decode()
    with _environment({"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret}):
        return launch_gateway()  # type: ignore[no-untyped-call]


def _session(gateway: Any, options: Mapping[str, str], variables: Mapping[str, str]) -> SparkSession:
    """A cluster's spark-defaults.conf holds for what is no option of ours; alone, there is none."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    conf = SparkConf(loadDefaults=False) if options.keys() >= ALONE.keys() else SparkConf(_jvm=gateway.jvm)
    context = SparkContext(conf=conf.setAll(list(options.items())), gateway=gateway)
    context.pythonExec = variables["PYSPARK_PYTHON"]
    server: Any = context._accumulatorServer  # noqa: SLF001 - there is no other way to it
    server.handle_error = lambda *_: None  # prints a traceback when the JVM goes; there are no accumulators to lose
    return SparkSession(context)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _stop_spark() -> None:
    """Stop the context and make PySpark forget it and its JVM, which it does not do for a JVM that has died."""
    from pyspark import SparkContext

    context, gateway = SparkContext._active_spark_context, SparkContext._gateway  # noqa: SLF001
    with suppress(Exception):
        if context:
            context.stop()
    with suppress(Exception):
        if gateway:
            gateway.shutdown()
    SparkContext._active_spark_context = SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001


def _last_words(said: Path) -> str:
    lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    return " ".join(line for line in lines if line.strip() and not line.startswith("\t"))[-300:]


def _is_no_complaint_of_py4j(record: logging.LogRecord) -> bool:
    """Py4J tells the root logger, with a traceback, that a JVM has gone: at exit, or besides raising an error."""
    return "py4j" not in record.pathname
