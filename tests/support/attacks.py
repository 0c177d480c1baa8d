"""What code in a child may try when a picture has got the better of its decoder, and a parent whose children try it.

`python -m tests.support.attacks FACTS` has each attack tried in a sandbox, and prints as JSON what each has achieved.
FACTS, as JSON, say what there is to attack. Where they say that there are no namespaces, the parent first gives up what
making them would take; most containers have no leave to make any.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

SURVIVOR = "86399"  # seconds that what is left behind sleeps: its command line is looked for
PROCESSES = 400  # whose numbers are tried besides those that /proc shows
ADOPTS_ORPHANS = 36
kept: list[str] = []


def tried(attempt: Callable[[], Any]) -> Any:
    """What it gave, or the name of the error that kept it from that."""
    try:
        return attempt()
    except OSError as error:
        return f"refused: {errno.errorcode[error.errno or 0]}"


def is_refused(outcome: Any) -> bool:
    return isinstance(outcome, str) and outcome.startswith("refused: ")


def read_processes(parent: int) -> list[str]:
    """What can be read of other processes, the parent among them."""
    return [f"/proc/{number}/{name}" for number in _numbers(parent) for name in _readable(number)]


def _numbers(parent: int) -> set[str]:
    numbers = {str(parent), *map(str, range(1, PROCESSES))}
    with suppress(OSError):
        numbers |= {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return numbers - {str(os.getpid())}


def _readable(number: str) -> Iterator[str]:
    for name in ("environ", "cmdline", "maps", "mem", "status", "fd", "root/etc/hostname", "cwd/README.md"):
        with suppress(OSError):
            place = Path("/proc", number, name)
            if place.is_dir():
                next(place.iterdir())
            elif name == "mem":
                place.open("r+b").close()
            else:
                place.read_bytes()
            yield name


def read_files(paths: Sequence[str]) -> dict[str, Any]:
    """Files, and what is in folders."""

    def read(path: Path) -> Any:
        return [each.name for each in path.iterdir()] if path.is_dir() else path.read_bytes().decode()

    return {path: tried(lambda path=path: read(Path(path))) for path in paths}


def read_own(own: str) -> str:
    return Path(own).read_text()


def write_files(folders: Sequence[str], own: str) -> dict[str, Any]:
    places = [*(Path(folder) / "planted" for folder in folders), Path(own)]
    return {str(place): tried(lambda place=place: place.write_text("planted")) for place in places}


def connect(port: int, abstract: str, path: str) -> dict[str, Any]:
    """To servers on this machine, by each way there is."""

    def over(family: int, kind: int, address: Any) -> str:
        with socket.socket(family, kind) as connection:
            connection.settimeout(2)
            connection.connect(address)
            connection.send(b"hello")
        return "connected"

    ways = {
        "TCP": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        "UDP": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        "path": (socket.AF_UNIX, socket.SOCK_STREAM, path),
    }
    return {name: tried(lambda way=way: over(*way)) for name, way in ways.items()}


def survive() -> None:
    """Leave processes behind that have left our session, our group and their parents, and one beneath those."""
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            ctypes.CDLL(None).prctl(ADOPTS_ORPHANS, 0, 0, 0, 0)
            if os.fork() == 0:
                os.setsid()
                os.execv("/bin/sleep", ["sleep", SURVIVOR])  # noqa: S606
            os._exit(0)
    time.sleep(0.5)


def survive_a_crash() -> None:
    ctypes.CDLL(None).prctl(ADOPTS_ORPHANS, 0, 0, 0, 0)
    survive()
    os.abort()


def survive_a_timeout() -> None:
    survive()
    time.sleep(600)


def disturb(parent: int) -> dict[str, Any]:
    """Signals to the parent, and to whoever has forked us."""
    targets = {"parent": parent, "zygote": os.getppid() or parent}
    return {name: tried(lambda pid=pid: os.kill(pid, signal.SIGCONT) or "sent") for name, pid in targets.items()}


def remember(word: str) -> list[str]:
    """Change what later children might be made of: this module, the one that reads, and the library."""
    import inktally.reading.child as reading

    kept.append(word)
    reading.read_page = lambda **_: {}
    os.path.exists = lambda _: False
    return kept


def recall() -> dict[str, Any]:
    import inktally.reading.child as reading

    return {"kept": kept, "read_page": reading.read_page.__name__, "root exists": os.path.exists("/")}  # noqa: PTH110


def call_the_kernel() -> dict[str, Any]:
    """Calls of x86_64 that reach beyond a child; what each gave, or the number of the error."""
    libc = ctypes.CDLL(None, use_errno=True)
    calls = {
        "unshare": (272, 0x1000_0000), "ptrace": (101, 0, 0, 0, 0), "io_uring_setup": (425, 1, 0),
        "bpf": (321, 0, 0, 0), "keyctl": (250, 0, -3, 1), "shmget": (29, 0, 4096, 0o1600), "socket": (41, 1, 1, 0),
        "memfd_create": (319, 0, 0), "mount": (165, 0, 0, 0, 0, 0), "another way": (0x4000_0000 + 41, 1, 1, 0),
        "clone": (56, 0x1000_0000 | signal.SIGCHLD, 0, 0, 0, 0),
    }  # fmt: skip
    outcomes = {}
    for name, call in calls.items():
        result = libc.syscall(*map(ctypes.c_long, call))
        outcomes[name] = f"refused: {errno.errorcode[ctypes.get_errno()]}" if result < 0 else result
    return outcomes


def who() -> dict[str, Any]:
    """This process as the kernel has it, and what is open in it."""
    libc = ctypes.CDLL(None)
    header, capabilities = ctypes.create_string_buffer(b"\x22\x05\x08\x20".ljust(8, b"\0")), bytes(24)
    header.raw = (0x2008_0522).to_bytes(4, "little") + bytes(4) + b"\0"
    sets = ctypes.create_string_buffer(capabilities)
    assert libc.capget(header, sets) == 0
    is_open = [number for number in range(256) if not is_refused(tried(lambda number=number: str(os.fstat(number))))]
    return {
        "users": os.getresuid(),
        "groups": [*os.getresgid(), *os.getgroups()],
        "capabilities": any(sets.raw),
        "gains none": libc.prctl(39, 0, 0, 0, 0),
        "open": is_open,
        "environment": dict(os.environ),
        "processes": os.getpid(),
    }


def leave_a_link(target: str, file: str) -> str:
    """Where a file is expected, so that the parent reads another."""
    return str(tried(lambda: Path(target).symlink_to(file) or "linked"))


def leave_another_name(target: str, file: str) -> str:
    return str(tried(lambda: os.link(file, target) or "linked"))


def leave_a_folder(target: str) -> None:
    Path(target).mkdir()


def leave_a_file(target: str) -> None:
    Path(target).write_text("plain")


def main(facts: dict[str, Any]) -> dict[str, Any]:
    """Have each attack tried, one after the other, in one sandbox."""
    from inktally.errors import InktallyError
    from inktally.sandbox import kernel
    from inktally.sandbox.confinement import confinement
    from inktally.sandbox.parent import Sandbox

    if not facts["namespaces"]:
        kernel.refuse_calls()
    scratch = Path(facts["scratch"])
    sandbox, parent = Sandbox(1, scratch, memory=400), os.getpid()
    target, own, picture = (scratch / name for name in ("target", "own", "picture"))
    own.write_text("own")

    def tried_by(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except InktallyError as error:
            return error.kind

    def run(attack: str, *files: str, seconds: float = 60, **arguments: Any) -> Any:
        reads, writes = [[name for name in files if name == kind] for kind in ("own", "target")]
        name = f"tests.support.attacks:{attack}"
        return tried_by(lambda: sandbox.call(name, arguments, seconds=seconds, reads=reads, writes=writes))

    link = {"target": str(target), "file": facts["files"][0]}
    strict = Sandbox(1, scratch, strict=True)
    outcomes = {
        "strict": tried_by(lambda: strict.call("tests.support.attacks:recall", {}, seconds=60)),
        "grants": str(confinement()),
        "who": [run("who"), run("who")],
        "read_processes": run("read_processes", parent=parent),
        "read_files": run("read_files", paths=[*facts["files"], str(picture)]),
        "read_own": run("read_own", "own", own=str(own)),
        "write_files": run("write_files", "own", folders=facts["folders"], own=str(own)),
        "connect": run("connect", port=facts["port"], abstract=facts["abstract"], path=facts["path"]),
        "survive": [run("survive"), run("survive_a_crash"), run("survive_a_timeout", seconds=2)],
        "disturb": run("disturb", parent=parent),
        "remember": run("remember", word="hello"),
        "recall": run("recall"),
        "call_the_kernel": run("call_the_kernel"),
        "leave": [run("leave_a_link", "target", **link), run("leave_another_name", "target", **link)],
        "leave_a_folder": run("leave_a_folder", "target", target=str(target)),
        "nothing taken": not target.exists(),
        "leave_a_file": run("leave_a_file", "target", target=str(target)),
        "taken": target.read_text() if target.exists() else "",
        "own": own.read_text(),
    }
    sandbox.close()
    strict.close()
    return outcomes


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
