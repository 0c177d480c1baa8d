"""The fault suite: python -m tests.faults [--uploads N] [--seconds S]. Its last line is a verdict; 1 if it is bad."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.result import Result
from tests.faults.suite import new_suite
from tests.support.machine import server_environment
from tests.support.stack import own_servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break things while pictures come in.")
    parser.add_argument("--uploads", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=300, help="give up after this time (300)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="inktally-faults-"))
    try:
        result = _run(folder, asked.uploads, asked.seed, asked.seconds)
    finally:
        if asked.keep:
            sys.stdout.write(f"logs: {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.writelines(f"{line}\n" for line in (*result.table(), result.verdict()))
    return int(not result.is_good)


def _run(folder: Path, uploads: int, seed: int, seconds: float) -> Result:
    with (
        server_environment(),
        own_servers(folder / "servers") as (s3, spark),
        new_suite(folder / "stack", s3, spark.address, uploads, seed) as suite,
    ):
        return suite.run(suite.faults.all(spark.server), seconds)


if __name__ == "__main__":
    sys.exit(main())
