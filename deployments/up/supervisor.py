"""The supervisor, supervisord: what it is told of the services, and the few things we ask of it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

from deployments.up.home import CannotRun, Home, write_privately

PROJECT = Path(__file__).parents[2]
LONGEST_SOCKET = 100  # bytes of a path; what systems take, and a few to spare
LONGEST_START, LONGEST_STOP = 180.0, 60.0  # seconds
LOOK_SECONDS = 0.05
GIVEN_UP = {"FATAL", "EXITED", "STOPPED", "UNKNOWN"}


@dataclass(frozen=True)
class Service:
    """A process that is kept running. `is_up` says whether it answers; `then` is done when it does."""

    name: str
    command: Sequence[str | Path]
    is_up: Callable[[], bool]
    then: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: str = "TERM"


Stages = Mapping[str, Sequence[Service]]
"""Services start together with those of their stage, when all of the stages before are up; they stop the other way."""

CONFIGURATION = """\
; Written by `make up`, at each start.
[supervisord]
nodaemon = true
silent = true
directory = {project}
logfile = {folder}/logs/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}/logs

[unix_http_server]
file = {folder}/supervisor.sock
chmod = 0600

[supervisorctl]
serverurl = unix://{folder}/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
STAGE = """
[group:{name}]
programs = {services}
priority = {place}
"""
PROGRAM = """
[program:{name}]
command = {command}
environment = {environment}
autostart = false
autorestart = true
startretries = 20
stopsignal = {stop}
stopwaitsecs = 15
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


def write_configuration(home: Home, stages: Stages) -> Path:
    """Raises `CannotRun` where the folder's path is too long for a socket."""
    path, folder = home.folder / "supervisord.conf", home.folder
    if len(os.fsencode(folder / "supervisor.sock")) > LONGEST_SOCKET:
        raise CannotRun(f"The path {folder} is too long for a socket in it; name a shorter one: make up UP=FOLDER")
    text = CONFIGURATION.format(project=_escaped(str(PROJECT)), folder=_escaped(str(folder)))
    for place, (name, services) in enumerate(stages.items(), 1):
        text += STAGE.format(name=name, services=",".join(service.name for service in services), place=place)
        text += "".join(_program(home, service) for service in services)
    write_privately(path, text)
    return path


def _program(home: Home, service: Service) -> str:
    command = shlex.join([*leash(), *map(str, service.command)])
    settings = ",".join(f'{name}="{value}"' for name, value in service.environment.items())
    return PROGRAM.format(
        name=service.name,
        command=_escaped(command),
        environment=_escaped(settings),
        stop=service.stop,
        log=_escaped(str(home.log(service.name))),
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def leash(signal_name: str = "TERM") -> list[str]:
    """What makes a process end with its parent, where the system can do that."""
    return ["setpriv", "--pdeathsig", signal_name, "--"] if shutil.which("setpriv") else []


class Supervisor:
    """A running supervisord."""

    def __init__(self, home: Home, process: subprocess.Popen[bytes]) -> None:
        self._home = home
        self._process = process
        self._address = f"unix://{home.folder / 'supervisor.sock'}"

    @property
    def _ask(self) -> Any:
        """A connection for one question: one that failed would fail for ever. Its errors are `OSError`."""
        from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

        return ServerProxy("http://supervisor", SupervisorTransport(None, None, self._address)).supervisor

    def start(self, stage: str, services: Sequence[Service]) -> None:
        """Start a stage, and return when all of it answers. Raises `CannotRun`."""
        wait = False
        self._ask.startProcessGroup(stage, wait)
        deadline = time.monotonic() + LONGEST_START
        for service in services:
            while not service.is_up():
                state = self._ask.getProcessInfo(f"{stage}:{service.name}")["statename"]
                if state in GIVEN_UP or time.monotonic() > deadline:
                    raise CannotRun(f"{service.name} does not start; its log is {self._home.log(service.name)}")
                time.sleep(LOOK_SECONDS)
            service.then()

    def answers(self) -> bool:
        if self._process.poll() is not None:
            raise CannotRun(f"The supervisor does not start; see {self._home.log('supervisord')}")
        try:
            return bool(self._ask.getState())
        except OSError:
            return False

    def wait(self) -> None:
        """Until somebody tells it to end (supervisorctl shutdown). Raises `CannotRun` when it has died."""
        if self._process.wait():
            raise CannotRun(f"The supervisor has died; see {self._home.log('supervisord')}")


@contextmanager
def supervised(home: Home, stages: Stages, environment: Mapping[str, str]) -> Iterator[Supervisor]:
    """Within the block there is a supervisor, which has started nothing yet; at its end everything is stopped."""
    configuration = write_configuration(home, stages)
    command = [*leash(), sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    with home.log("supervisord").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        supervisor = Supervisor(home, process)
        while not supervisor.answers():
            time.sleep(LOOK_SECONDS)
        yield supervisor
    finally:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)  # it is being stopped; patience
        process.terminate()
        process.wait(LONGEST_STOP)
