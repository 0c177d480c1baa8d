"""The Java that Spark runs on, and the start of Spark that deployments/class_data.py makes ready."""

import os
import re
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from inktally.document import sha256_of
from inktally.errors import MissingTool

OLDEST = 17
ADVICE = (
    f"Counting words needs Java {OLDEST} or newer, and {{found}}. Install it (apt-get install openjdk-17-jre-headless, "
    "dnf install java-21-openjdk-headless, or brew install --cask temurin@21), or let JAVA_HOME name it."
)


class Java(NamedTuple):
    """The `java` command that Spark's own scripts would choose; its version as in 17.0.15."""

    command: Path
    version: str


def find_java() -> Java:
    """Raises `MissingTool` when there is none, or one too old for Spark. Starts Java only where no file tells."""
    home = os.environ.get("JAVA_HOME")  # what Spark's scripts go by, so no setting of ours
    found = shutil.which(str(Path(home, "bin", "java")) if home else "java")
    if not found:
        raise MissingTool(ADVICE.format(found="there is none" if not home else f"JAVA_HOME={home} holds none"))
    java = Java(Path(found), _version(Path(found).resolve()))
    if int(java.version.split(".")[0] or 0) < OLDEST:
        raise MissingTool(ADVICE.format(found=f"{found} is version {java.version or 'unknown'}"))
    return java


def _version(command: Path) -> str:
    release = command.parent.parent / "release"
    if release.is_file():
        told = release.read_text(encoding="utf-8", errors="replace")
    else:
        told = subprocess.run([command, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    match = re.search(r'(?:JAVA_VERSION=|version )"([\d.]+)', told)
    return match[1] if match else ""


def pyspark_home() -> Path:
    """The folder of the package, which is a SPARK_HOME; without the time that importing it takes."""
    pyspark = find_spec("pyspark")
    return Path(str(pyspark and pyspark.origin)).parent


def prepared_spark(folder: Path, java: Java) -> Path:
    """Where, below `folder`, the start made ready for this PySpark under this Java lies, if it has been made.

    It takes the place of SPARK_HOME, and has of it only what starting a session needs: bin/spark-submit.
    """
    place = sha256_of(str(java.command), str(pyspark_home() / "__init__.py"))[:8]
    return folder / f"spark-{version('pyspark')}-java-{java.version}-{place}"
