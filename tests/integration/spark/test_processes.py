"""The JVM of a process that counts: how it starts and ends, and what it needs; and a Connect server in its place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deployments.class_data import prepare
from inktally.counters.spark import SparkCounter
from inktally.counters.spark.java import find_java
from inktally.document import Token
from inktally.errors import MissingTool
from inktally.settings import Settings
from tests.support.servers import free_port, process
from tests.support.sparks import PYTHON_SUBMIT, QUICK, SAMPLE, jvms, rows, run, started, tokens
from tests.support.waiting import wait_until


def test_warming_up_returns_before_spark_has_started_and_what_counting_says_is_nothing(
    prepared: Settings, tmp_path: Path
) -> None:
    """So it is after a JVM that did not start, and that has given its own reason."""
    chosen = prepared.model_copy(update={"scratch": tmp_path})
    script = (
        "import os, inktally.errors as e\n"
        "try: c.count({'x': t('word')})\n"
        "except e.CountFailed as error: print(error)\n"
        "del os.environ['SPARK_HOME']\n"
        "c.warm_up(); print(not c.is_ready)\n"
        "print(c.count({'x': t('B a b')})['x'].total)\n"
        "print('classes.jsa' in str(psutil.Process().memory_maps()) or [p.pid for p in psutil.Process().children()])"
    )
    done = run(script, chosen, SPARK_HOME="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    why, is_starting, total, children = done.stdout.splitlines()
    assert why.startswith("Spark did not start: [Errno 2]")
    assert (is_starting, total) == ("True", "3")
    assert not [pid for pid in json.loads(children) if psutil.pid_exists(pid)]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.long
@pytest.mark.parametrize("moment", ["c.count({'x': t('word')})", "c.warm_up(); wait_for_java()"])
def test_a_killed_process_leaves_no_jvm(moment: str, prepared: Settings, tmp_path: Path) -> None:
    chosen = prepared.model_copy(update={"scratch": tmp_path})
    with started(f"{moment}; print('ready', flush=True); time.sleep(60)", chosen) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        mine = jvms(child.pid)
        assert mine
        child.kill()
    assert psutil.wait_procs(mine, timeout=20)[1] == []


def test_a_process_that_ends_while_spark_starts_leaves_nothing(prepared: Settings, tmp_path: Path) -> None:
    chosen = prepared.model_copy(update={"scratch": tmp_path})
    script = "c.warm_up(); wait_for_java(); print([p.pid for p in psutil.Process().children()])"
    done = run(script, chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert [pid for pid in json.loads(done.stdout) if psutil.pid_exists(pid)] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# Java


def test_without_java_the_error_says_how_to_install_it(prepared: Settings) -> None:
    script = "import inktally.errors as e\ntry: c.count({'': t('word')})\nexcept e.MissingTool as error: print(error)"
    assert "apt-get install openjdk-17-jre-headless" in run(script, prepared, JAVA_HOME="/nowhere").stdout


@pytest.mark.parametrize(
    ("version", "fits"), [("1.8.0_402", False), ("11.0.22", False), ("17", True), ("21.0.2", True)]
)
@pytest.mark.parametrize("told", ["file", "command"])
def test_java_must_be_17_or_newer(
    version: str, fits: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    if told == "file":
        (tmp_path / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if fits:
        assert find_java() == (java, version)
    else:
        with pytest.raises(MissingTool, match=r"Java 17 or newer, and .* is version"):
            find_java()


# the prepared start


def test_the_prepared_start_is_made_once_and_used(counter: SparkCounter, prepared: Settings) -> None:
    home = prepare(prepared)
    made = (home / "classes.jsa").stat()
    assert prepare(prepared) == home
    assert (home / "classes.jsa").stat() == made
    counter.count({"": tokens("word")})
    [jvm] = jvms()
    assert str(home / "classes.jsa") in {mapped.path for mapped in jvm.memory_maps()}
    assert [path.name for path in prepared.class_data.glob("spark-*")] == [home.name]


# a Connect server


@contextmanager
def connect_server(port: int, folder: Path) -> Iterator[None]:
    """What sbin/start-connect-server.sh runs, in the foreground."""
    options = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"{QUICK} -Djava.io.tmpdir={folder}",
    }
    command = [*PYTHON_SUBMIT, "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [part for name, value in options.items() for part in ("--conf", f"{name}={value}")]
    with process([*command, "spark-internal"], folder / "out") as server:
        wait_until(lambda: listening(server.pid, port), server)
        yield


def listening(pid: int, port: int) -> bool:
    return any(at.status == "LISTEN" and at.laddr.port == port for at in psutil.Process(pid).net_connections())


@pytest.mark.long
def test_a_connect_server_gives_the_same_counts_and_may_come_and_go(
    counter: SparkCounter, prepared: Settings, tmp_path: Path
) -> None:
    port = free_port()
    script = f"""
import sys, time, inktally.errors as e
for _ in range(3):
    begun = time.monotonic()
    try:
        counted = c.count({{name: t(text) for name, text in {SAMPLE!r}.items()}})
        print("counted", {{name: [(w.word, w.count, w.confidence) for w in of.words] for name, of in counted.items()}})
    except e.CountFailed as error:
        print("failed", time.monotonic() - begun, error)
    sys.stdout.flush()
    sys.stdin.readline()
"""
    expected = {
        name: rows(counts)
        for name, counts in counter.count(
            {
                name: [Token(text=word, confidence=90, words=(0,)) for word in text.split()]
                for name, text in SAMPLE.items()
            }
        ).items()
    }
    chosen = prepared.model_copy(update={"scratch": tmp_path / "scratch", "spark_remote": f"sc://127.0.0.1:{port}"})
    with started(script, chosen) as child:
        assert answer(child).startswith("failed")
        with connect_server(port, tmp_path):
            assert answer(child, "\n") == f"counted {expected}\n"
        failed = answer(child, "\n")
        assert failed.startswith("failed")
        assert float(failed.split()[1]) < 30
        assert child.communicate("\n")[1] == ""
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


def answer(child: subprocess.Popen[str], line: str = "") -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(line)
    child.stdin.flush()
    return child.stdout.readline()
