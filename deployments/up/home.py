"""The folder that `make up` keeps everything in: secrets, ports, the environment of all services, logs and data."""

import fcntl
import os
import secrets
import shlex
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inktally.modes import make_folder
from inktally.scratch import write_whole

PORTS = {
    "prefect": 4200,
    "receiver": 8080,
    "inbox": 8025,
    "site": 8082,
    "spark": 15002,
    "postgres": 5432,
    "redis": 6379,
    "s3": 7480,
    "ceph-mon": 3300,
}
NOT_OURS = ("PREFECT_", "AWS_", "SPARK_", "MAKE", "MFLAGS")  # beginnings of variables that would lead services astray


class CannotRun(Exception):
    """Why `make up` cannot go on, in words for people."""


@dataclass
class Home:
    """The folder, and the ports that its services listen on this time; `notices` are for the user."""

    folder: Path
    notices: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block nobody else brings it up. Raises `CannotRun`."""
        make_folder(self.folder / "logs")
        self._close()
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CannotRun(f"It is up already: another process works in {self.folder}.") from None
            yield

    def _close(self) -> None:
        """To everybody else, also what an earlier version left open. PostgreSQL's account has to find its folder."""
        self.folder.chmod(0o700 if os.geteuid() else 0o711)
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid():
                path.chmod(0o700)

    def port(self, name: str) -> int:
        """The one that everybody knows, else a free one."""
        if name not in self.ports:
            usual = PORTS[name]
            self.ports[name] = port = usual if _is_free(usual) else free_port(set(self.ports.values()))
            if port != usual:
                self.notices.append(f"Port {usual} is taken; {name} listens on {port}.")
        return self.ports[name]

    def secret(self, name: str, user: str = "") -> str:
        """A random one, made at the first start and kept; with a user, as `user:password`."""
        path = self.folder / "secrets" / name
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_privately(path, f"{user}:{secrets.token_hex(20)}" if user else secrets.token_hex(20))
        return path.read_text(encoding="utf-8")

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def write_environment(self, ours: Mapping[str, str]) -> Path:
        """For a shell that wants to speak to the services."""
        path = self.folder / "environment"
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in ours.items()]
        write_privately(path, "".join(lines))
        return path


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """That of the services: the user's, less what names other servers, and ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    return {**kept, **ours}


def write_privately(path: Path, content: str) -> None:
    """Whole or not at all, and for the user's eyes only."""
    write_whole(path, content.encode())


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """Below those that the system gives to clients, so that none of them gets it before the service does."""
    while True:
        port = 15_100 + secrets.randbelow(16_900)
        if port not in taken and _is_free(port):
            return port
