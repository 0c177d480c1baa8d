"""One Spark session in a process: started in the background, shared, and started anew after a failure.

PySpark is imported only when a session is wanted.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Any

from inktally.counters.spark.jvm import Running, launch
from inktally.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FOR_SMALL_JOBS = {"spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "1"}
"""Of a session on a Connect server: a job takes 0.12 instead of 0.33 s, and half of the JVM's work."""

FOR_BIG_JOBS = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m",  # a partition is counted within a core's share of a GB
    "spark.sql.files.maxPartitionBytes": "16m",  # tasks are small beside the whole, so that no executor is left waiting
    "spark.sql.files.openCostInBytes": "1m",
    "spark.sql.icu.caseMappings.enabled": "true",
}

CONNECT_RETRIES = 4
"""Of one call to a Connect server, within five seconds: one that has just started needs one or two.

PySpark's own 15 take more than ten minutes.
"""


class SharedSession:
    """The one session of a process with a JVM of its own, or with one Connect server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Future[Running] | None = None

    def begin(
        self, settings: Settings, first_job: Callable[[SparkSession], object], *, for_parts: bool = False
    ) -> Future[Running]:
        """The session there is, or one that a thread begins to start and to try with a job."""

        def start(promise: Future[Running]) -> None:
            try:
                promise.set_result(_start(settings, first_job, for_parts=for_parts))
            except BaseException as error:  # noqa: BLE001 - raised again in those who wait for the session
                promise.set_exception(error)

        with self._lock:
            if self._running is None:
                self._running = Future()
                threading.Thread(target=start, args=(self._running,), name="spark-start", daemon=True).start()
            return self._running

    @property
    def is_starting(self) -> bool:
        running = self._running
        return running is not None and not running.done()

    def end(self, running: Future[Running] | None = None) -> None:
        """End this session, unless somebody else has done so; without one named, the one there is, if any."""
        with self._lock:
            current = self._running
            if current is not None and running in (None, current):
                self._running = None
                with suppress(Exception):
                    current.result().end()


_sessions: dict[str, SharedSession] = {}


def shared_session(settings: Settings) -> SharedSession:
    """The session of this process for these settings: a JVM can hold but one, whatever the settings."""
    return _sessions.setdefault(settings.spark_remote, SharedSession())


def _start(settings: Settings, first_job: Callable[[SparkSession], object], *, for_parts: bool) -> Running:
    warnings.filterwarnings("ignore", module="pyspark")  # what matters comes as an error
    running = _connect(settings) if settings.spark_remote else launch(settings, for_parts=for_parts)
    try:
        if settings.spark_remote:
            _configure(running.session, FOR_SMALL_JOBS)
        first_job(running.session)
    except BaseException:
        running.end()  # a channel left open would keep those that follow from trying again whether a server is back
        raise
    return running


@contextmanager
def session_for_big_jobs(running: Running, settings: Settings) -> Iterator[SparkSession]:
    """Another session on the same Spark, so that small jobs, which may be under way, keep their settings."""
    with ExitStack() as stack:
        if settings.spark_remote:
            session = _client(settings)
            stack.callback(session.stop)
            limit = Timer(settings.count_seconds, session.stop)  # the server drops its jobs
            stack.callback(limit.cancel)
            limit.start()
        else:
            session = running.session.newSession()
        _configure(session, FOR_BIG_JOBS)
        yield session


def _connect(settings: Settings) -> Running:
    session = _client(settings)
    return Running(session, session.client.close)


def _client(settings: Settings) -> Any:
    """A new session on the Connect server."""
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session: Any = SparkSession.builder.remote(settings.spark_remote).create()
    session.client.set_retry_policies([DefaultPolicy(max_retries=CONNECT_RETRIES)])
    return session


def _configure(session: SparkSession, options: Mapping[str, str]) -> None:
    for name, value in options.items():
        session.conf.set(name, value)
