"""The command behind `make up`: start everything, tell where it is, and stop everything at Ctrl-C."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from deployments.up.home import CannotRun, Home, environment
from deployments.up.stack import Stack
from deployments.up.supervisor import PROJECT, supervised
from inktally.errors import MissingTool
from inktally.extras import require
from inktally.modes import PRIVATE


def bring_up(stack: Stack) -> None:
    """Until it is told to stop. Raises `CannotRun`."""
    stack.prepare()
    stages = stack.stages()
    with supervised(stack.home, stages, environment(stack.environment())) as supervisor:
        for name, services in stages.items():
            _say(f"Starting {', '.join(service.name for service in services)} …")
            supervisor.start(name, services)
        _say(*_addresses(stack))
        supervisor.wait()


def _addresses(stack: Stack) -> Iterator[str]:
    folder = _short(stack.home.folder)
    yield from ("", *stack.home.notices, f"Inktally is up. Its data are in {folder}/", "")
    yield f"  Prefect    {stack.prefect}"
    yield f"             asks for the line in {folder}/secrets/prefect"
    yield f"  Page       {stack.site}; the REST API is at {stack.site}/api"
    yield f"  Mails      {stack.inbox}"
    yield f"             asks for a password, the line in {folder}/secrets/inbox; any user name will do"
    if stack.ceph:
        yield f"  Pictures   {stack.pictures} at {stack.ceph.endpoint}; keys in {folder}/environment; for example:"
        yield f"             . {folder}/environment && aws s3 cp page.png {stack.pictures} --metadata email={stack.to}"
    else:
        yield f"  Pictures   drop them into {_short(Path(stack.pictures))}/; the answers go to {stack.to}"
    yield f"  Receiver   {stack.hook}"
    yield f"  Services   .venv/bin/supervisorctl -c {folder}/supervisord.conf status"
    yield from ("", "Ctrl-C stops everything; the next `make up` goes on from there.")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.up", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT / "inktally-up", help="default: inktally-up")
    parser.add_argument("--store", choices=["ceph", "folder"], default="", help="default: Ceph where it is installed")
    parser.add_argument("--worker", default="warm-process", help="type of the worker; default: warm-process")
    parser.add_argument("--to", default="you@example.com", metavar="ADDRESS", help="whom dropped pictures are answered")
    asked = parser.parse_args(argv)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the first may have been ignored by who started us
        signal.signal(name, signal.default_int_handler)
    os.umask(PRIVATE)  # for all that the services write
    home = Home(Path(os.path.realpath(asked.folder)))
    try:
        require("up")
        with home.locked():
            bring_up(Stack(home, asked.store, asked.worker, asked.to))
    except KeyboardInterrupt:
        _say("Stopped.")
    except (CannotRun, MissingTool) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
