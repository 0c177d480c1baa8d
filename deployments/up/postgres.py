"""PostgreSQL for the Prefect server, where it is installed."""

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deployments.up.home import CannotRun, Home, write_privately
from deployments.up.supervisor import Service, leash

DEBIAN = Path("/usr/lib/postgresql")
ACCOUNTS = ("postgres", "nobody")  # PostgreSQL refuses to run as root
USER = "inktally"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL server that is installed."""
    installed = [path.parent for path in DEBIAN.glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        installed.append(Path(on_path).resolve().parent)
    complete = [path for path in installed if (path / "postgres").exists() and (path / "pg_isready").exists()]
    return max(complete, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], default=None)


@dataclass(frozen=True)
class Postgres:
    """One database cluster, below the home; its files belong to an account of their own where we are root."""

    home: Home
    programs: Path

    @property
    def folder(self) -> Path:
        return self.home.folder / "postgres"

    @property
    def url(self) -> str:
        port = self.home.port("postgres")
        return f"postgresql+asyncpg://{USER}:{self.home.secret('postgres')}@127.0.0.1:{port}/postgres"

    @cached_property
    def _account(self) -> pwd.struct_passwd | None:
        """None where we are not root, and run it ourselves."""
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        return next((known[name] for name in ACCOUNTS if name in known), None)

    @cached_property
    def _as_account(self) -> list[str | Path]:
        account = self._account
        if account is None:
            return []
        return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]

    def obstacle(self) -> str:
        """Why it cannot be used here; empty when it can."""
        if os.geteuid() == 0 and (self._account is None or not shutil.which("setpriv")):
            return "PostgreSQL does not run as root"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        able = subprocess.run([*self._as_account, "test", "-w", self.folder], check=False)
        return "PostgreSQL's account may not reach the folder" if able.returncode else ""

    def prepare(self) -> None:
        """Make the cluster, unless it is there. Raises `CannotRun`."""
        data, part, password = (self.folder / name for name in ("data", "data.part", "password"))
        if data.exists():
            return
        shutil.rmtree(part, ignore_errors=True)
        write_privately(password, self.home.secret("postgres"))
        if self._account is not None:
            os.chown(password, self._account.pw_uid, self._account.pw_gid)
        options = ["--no-locale", "--encoding=UTF8", f"--username={USER}", "--auth=scram-sha-256", "--no-sync"]
        command: list[str | Path] = [*self._as_account, self.programs / "initdb", "-D", part, *options]
        command.append(f"--pwfile={password}")
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        password.unlink()
        if done.returncode:
            raise CannotRun(f"PostgreSQL's database could not be made: {done.stderr.strip()}")
        part.rename(data)

    def service(self) -> Service:
        port = str(self.home.port("postgres"))
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        asked: list[str | Path] = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
        data = str(self.folder / "data")
        server: list[str | Path] = [*leash("INT"), self.programs / "postgres", "-D", data, "-p", port, *options]
        return Service(
            name="postgres",
            command=[*self._as_account, *server],  # a change of account slips the supervisor's own leash
            is_up=lambda: subprocess.run(asked, check=False).returncode == 0,
            stop="INT",  # does not wait for its clients to go
        )
