"""Make Spark start in a fraction of the time: `python -m deployments.class_data`, once after an installation.

It leaves, in the folder of the setting `class_data`, a start of Spark without what counting does not need (the
launcher's JVM, the machine-learning library) and with an archive of the classes that it does need, loaded and checked
beforehand. That is for this PySpark and this Java; others do not use it. When it is there already, nothing happens.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from inktally.counters.spark import SparkCounter
from inktally.counters.spark.java import Java, find_java, prepared_spark, pyspark_home
from inktally.document import Token
from inktally.errors import CountFailed, InktallyError
from inktally.scratch import scratch_folder
from inktally.settings import Settings, read_settings

ASK_LAUNCHER = """\
. bin/load-spark-env.sh
exec "$0" -cp "jars/*" org.apache.spark.launcher.Main org.apache.spark.deploy.SparkSubmit pyspark-shell"""
SCRIPT = """\
#!/bin/sh
# Takes the place of Spark's own bin/spark-submit; made by deployments/class_data.py.
exec {java} "-Xmx${{SPARK_DRIVER_MEMORY:-1g}}" $SPARK_SUBMIT_OPTS @{arguments} org.apache.spark.deploy.SparkSubmit "$@"
"""
UNWANTED_JAR = re.compile(r"spark-(mllib|hive)_")  # mllib registers functions at every start, which takes a second
UNWANTED_OPTION = re.compile(r"--add-modules=jdk\.incubator\.vector|-Xmx")  # only mllib uses those
ARCHIVE = "classes.jsa"
SAMPLE = ("The", "café", "ΟΔΟΣ")  # the last is lower-cased by ICU


class Start(NamedTuple):
    """What Java is told so that it starts Spark: options, and the class path (files, without patterns)."""

    options: list[str]
    jars: list[str]


def prepare(settings: Settings) -> Path:
    """The prepared start, made unless it is there. Raises `MissingTool` without Java, else `CountFailed`."""
    java = find_java()
    folder = settings.class_data.absolute()
    home = prepared_spark(folder, java)
    if (home / ARCHIVE).is_file():
        return home
    with scratch_folder(folder) as scratch:
        training = settings.model_copy(update={"class_data": scratch, "spark_remote": ""})
        plain = _plain_start(java)
        made = prepared_spark(scratch, java)
        archive = made / ARCHIVE
        _write(made, made, java, plain, f"-XX:ArchiveClassesAtExit={archive}")
        _count_once(training)
        if not archive.is_file():
            raise CountFailed("Spark's JVM was too slow to write an archive of its classes; try again.")
        _write(made, home, java, plain, f"-XX:SharedArchiveFile={home / ARCHIVE}")
        if not (home / ARCHIVE).is_file():  # another process may have been quicker
            shutil.rmtree(home, ignore_errors=True)  # one whose archive has gone
            made.rename(home)
    return home


def _plain_start(java: Java) -> Start:
    """How Spark's own scripts would start it, by asking their launcher, less what is not wanted."""
    home = pyspark_home()
    asked = subprocess.run(
        ["env", f"SPARK_HOME={home}", "bash", "-c", ASK_LAUNCHER, java.command],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    _, _, command = asked.stdout.partition("\0\n")
    if asked.returncode or not command:
        raise CountFailed(f"Spark's launcher does not tell how it starts Spark: {asked.stderr.strip()[-300:]}")
    _, _, class_path, *options, _, _, _ = command.split("\0")
    return Start(
        [option for option in options if not UNWANTED_OPTION.match(option)],
        [str(jar) for jar in _jars(class_path) if not UNWANTED_JAR.match(jar.name)],
    )


def _jars(class_path: str) -> Iterator[Path]:
    """The files of a class path; /* at the end of an entry stands for all jars of a folder."""
    for entry in map(Path, class_path.split(":")):
        yield from sorted(entry.parent.glob("*.jar")) if entry.name == "*" else [entry] if entry.is_file() else []


def _write(folder: Path, home: Path, java: Java, start: Start, archive_option: str) -> None:
    """Write, in `folder`, the start that will be used as `home`."""
    script, arguments = folder / "bin" / "spark-submit", "java.arguments"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(SCRIPT.format(java=shlex.quote(str(java.command)), arguments=shlex.quote(str(home / arguments))))
    script.chmod(0o755)
    told = [*start.options, archive_option, "-cp", ":".join(start.jars)]
    (folder / arguments).write_text("".join(f"{_quoted(argument)}\n" for argument in told))


def _quoted(argument: str) -> str:
    """As a file of arguments for Java wants it."""
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _count_once(settings: Settings) -> None:
    counter = SparkCounter(settings)
    counter.count({"": [Token(text=text, confidence=100, words=(0,)) for text in SAMPLE]})
    counter.close()


def main(arguments: Sequence[str] = ()) -> int:
    """The exit code; where the start lies goes to standard output, why there is none to standard error."""
    if arguments:
        sys.stdout.write(f"{__doc__}\nIt takes no arguments.\n")
        return 0 if arguments[0] in ("-h", "--help") else 2
    try:
        home = prepare(read_settings())
    except (InktallyError, OSError) as error:
        sys.stderr.write(f"class_data: {error}\n")
        return error.exit_code if isinstance(error, InktallyError) else 1
    sys.stdout.write(f"{home}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
