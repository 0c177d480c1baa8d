"""How children that read strangers' pictures are confined: what this machine grants, and its use.

`python -m inktally.sandbox.confinement` says what holds here. Where a machine grants less, the rest still holds.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import inktally
from inktally.errors import BadSettings
from inktally.sandbox import kernel

USERS = range(0x7000_0000, 0x7001_0000)
"""Above those of people, containers and systemd: each child is one of them, who owns nothing but the child's files."""
NOBODY = range(65534, 65535)  # where a container knows no others
JOB = "job"
IN, OUT = "in", "out"
"""The two folders of a child: what it may read, and what it may write."""
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts",
    "/etc/localtime", "/sys/devices/system/cpu",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
BESIDE_COMMANDS = ("lib", "lib64", "share/tessdata", "share/tesseract-ocr")  # what a program outside /usr brings
TRIAL_SECONDS = 60


@dataclass(frozen=True)
class Confinement:
    """What a machine grants to its children; `landlock` is the version of Landlock, 0 for none."""

    user: bool
    namespaces: bool
    landlock: int
    seccomp: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """What it does not grant, and what follows."""
        consequences = (
            (self.user, "a user of its own: a child stays root, without root's capabilities"),
            (self.namespaces, "namespaces: a child sees that other processes exist"),
            (self.landlock, "Landlock: a child reads whatever its user may read of what it sees"),
            (self.seccomp, "seccomp: a child may use all of the kernel"),
        )
        return tuple(consequence for holds, consequence in consequences if not holds)

    def __str__(self) -> str:
        names = (
            (self.user, "a user without rights"),
            (self.namespaces, "namespaces"),
            (self.landlock, f"Landlock {self.landlock}"),
            (self.seccomp, "seccomp"),
        )
        granted = ", ".join(name for holds, name in names if holds) or "nothing but limits"
        missing = "".join(f" No {what}." for what in self.missing)
        return f"Pictures are opened in children confined by {granted}.{missing}"


@lru_cache(maxsize=1)
def confinement() -> Confinement:
    """What this machine grants; it is tried in a process that ends at once, and only the first time."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TRIAL_SECONDS).stdout
    return Confinement(**json.loads(told))


def require_all() -> None:
    """Raises `BadSettings` unless the machine grants everything."""
    if missing := confinement().missing:
        raise BadSettings(
            f"INKTALLY_CONFINEMENT is strict, and this machine lacks {'; '.join(missing)}. "
            "docs/security.md says what grants it."
        )


def trial(folder: Path) -> tuple[Confinement, range]:
    """What is granted to children whose folders are beside `folder`, and as which users they may run."""
    has_namespaces = _works(lambda: _try_namespaces(folder))
    users = _users(folder, sees_all=has_namespaces) if os.geteuid() == 0 else range(0)
    granted = Confinement(
        user=bool(users) or os.geteuid() != 0,
        namespaces=has_namespaces,
        landlock=kernel.landlock_version(),
        seccomp=_works(kernel.refuse_calls),
    )
    return granted, users


def _works(attempt: Callable[[], None]) -> bool:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with suppress(Exception):
                attempt()
                status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def _try_namespaces(folder: Path) -> None:
    kernel.enter_namespaces()
    kernel.build_root(folder, ["/usr"], JOB)
    kernel.enter_root(folder, JOB, folder)


def _users(folder: Path, *, sees_all: bool) -> range:
    """Where there is no root of their own to show it to them, they must get by themselves to what they need."""

    def try_one(users: range) -> None:
        kernel.become(users[-1])
        if not sees_all:
            os.listdir(Path(os.__file__).parent)  # noqa: PTH208 - fails where it may not, unlike a generator
            (folder / ".").stat()

    return next((users for users in (USERS, NOBODY) if _works(partial(try_one, users))), range(0))


@dataclass(frozen=True)
class Cell:
    """How this process's children give up their rights: by what is granted, as one of `users`, in this root, if any."""

    granted: Confinement
    users: range
    readable: Sequence[str]
    root: Path | None

    def confine(self, folder: Path) -> None:
        """Keep nothing but what is readable and the two folders below `folder`, which is the working folder then.

        Raises `OSError` when anything fails; the process must end then, since some rights may be gone and others not.
        """
        user = secrets.choice(self.users) if self.users else None
        if user is not None:
            os.chown(folder / OUT, user, user)
        os.chdir(folder)
        if self.root:
            kernel.enter_root(self.root, JOB, folder)
        if user is not None:
            kernel.become(user)
        if sys.platform == "linux":
            kernel.drop_capabilities()
        if self.granted.landlock:
            reading = dict.fromkeys([*self.readable, IN], kernel.READING)
            devices = dict.fromkeys(DEVICES, kernel.READ_FILE | kernel.WRITE_FILE)
            kernel.restrict({**reading, **devices, OUT: kernel.WRITING}, self.granted.landlock)
        if self.granted.seccomp:
            kernel.refuse_calls()

    def remove(self) -> None:
        """Take down the children's root, so that its folder can be removed, unless the parent has done so already."""
        if self.root:
            with suppress(OSError):
                kernel.remove_root(self.root)


def cell(granted: Confinement, users: range, folder: Path) -> Cell:
    """For children that this process will fork; in `folder` their root is built, where there are namespaces."""
    readable = list(dict.fromkeys(_readable()))
    if granted.namespaces:
        kernel.build_root(folder, [*readable, *DEVICES], JOB)
    return Cell(granted, users, readable, folder if granted.namespaces else None)


def _readable() -> Iterator[str]:
    """What a child needs to run: the system's programs, Python with its packages, this package, Tesseract's models.

    No folder that may hold more: neither the project's, with its .env and perhaps its store, nor anybody's home.
    """
    folders = [*map(Path, SYSTEM), Path(sys.prefix), Path(sys.base_prefix), Path(inktally.__file__).parent]
    folders += [Path(entry) for entry in sys.path if entry.endswith("-packages")]
    for command in os.environ.get("PATH", "").split(os.pathsep):
        folders += [Path(command), *(Path(command).parent / name for name in BESIDE_COMMANDS)]
    folders += [Path(entry) for name in ("LD_LIBRARY_PATH", "TESSDATA_PREFIX") for entry in _entries(name)]
    for folder in folders:
        if folder.is_absolute() and folder != Path("/") and os.access(folder, os.R_OK):
            yield str(folder)


def _entries(name: str) -> list[str]:
    return [entry for entry in os.environ.get(name, "").split(os.pathsep) if entry]


def main() -> None:
    """Say what holds here."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        granted, _ = trial(Path(folder))
    sys.stdout.write(json.dumps(asdict(granted)) if "--json" in sys.argv else f"{granted}\n")


if __name__ == "__main__":
    main()
