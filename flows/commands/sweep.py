"""The command line of flows/sweep_flow.py."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from prefect import State

from flows.commands.api_server import api_server


def main(flow: Callable[..., State[Any]], argv: Sequence[str] | None = None) -> int:
    """Sweep once; 0 when that was done."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.sweep_flow",
        description="Start a run for each picture under input/ that should have been answered by now.",
    )
    parser.add_argument("store", nargs="?", default="", help="s3://bucket or a folder; without it, the setting")
    asked = parser.parse_args(argv)
    with api_server():  # where none is configured, Prefect would start one without a secret
        state = flow(asked.store, return_state=True)
    sys.stdout.write(f"{state.message}\n")
    return int(not state.is_completed())
