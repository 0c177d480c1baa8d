"""What code in a child may try when a picture has got the better of its decoder, and a parent that has children try it.

`python -m tests.support.attacks FACTS` runs each of `ATTACKS` in a sandbox and prints as JSON what each has achieved;
FACTS is JSON too: what there is to attack. With "namespaces": false the parent first gives up what it would take to make
namespaces, as in most containers.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SECRET = "only-the-parent-knows"
SURVIVOR = "86399"  # seconds that what was left behind would sleep; its command line is looked for
kept: list[str] = []


def tried(attempt: Callable[[], Any]) -> Any:
    """What it gave, or the name of the error that kept it from that."""
    try:
        return attempt()
    except OSError as error:
        return f"refused: {type(error).__name__}"


def read_processes(parent: int) -> list[str]:
    """The environments and memories in which the secret was found, of the parent and whatever else there is."""
    found = []
    numbers = {str(parent), "self", *map(str, range(1, 400))}
    with suppress(OSError):
        numbers |= {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    for number in numbers:
        for name in ("environ", "cmdline", "mem", "maps", "root", "cwd"):
            with suppress(OSError):
                place = Path("/proc", number, name)
                found += [str(place)] if place.is_dir() or place.open("rb").read(1) else []
    return found


def read_files(paths: list[str]) -> list[Any]:
    """Files, and the names in folders."""
    return [
        tried(lambda path=path: os.listdir(path) if Path(path).is_dir() else Path(path).read_bytes().decode()[:99])
        for path in paths
    ]


def write_files(folders: list[str], own: str) -> list[Any]:
    places = [*(Path(folder) / "planted" for folder in folders), Path(own)]
    return [tried(lambda place=place: place.write_text("planted")) for place in places]


def connect(port: int, abstract: str, path: str) -> list[Any]:
    def over(family: int, kind: int, address: Any) -> str:
        with socket.socket(family, kind) as connection:
            connection.settimeout(2)
            connection.connect(address)
            connection.send(b"GET / HTTP/1.0\r\n\r\n")
        return "connected"

    return [
        tried(lambda: over(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))),
        tried(lambda: over(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port))),
        tried(lambda: over(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port))),
        tried(lambda: over(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract)),
        tried(lambda: over(socket.AF_UNIX, socket.SOCK_STREAM, path)),
    ]


def survive() -> str:
    """Leave a process behind that has left our session, our group and its parent, and once more beneath that."""
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # adopts nobody
            if os.fork() == 0:
                os.setsid()
                os.execv("/bin/sleep", ["sleep", SURVIVOR])  # noqa: S606
            os._exit(0)
    time.sleep(0.5)
    return "left"


def survive_a_crash() -> None:
    survive()
    os.abort()


def survive_a_timeout() -> None:
    survive()
    time.sleep(600)


def disturb(parent: int) -> list[Any]:
    """Signals to the parent, to whoever forked us, and to all."""
    return [
        tried(lambda target=target: os.kill(target, signal.SIGCONT) or "sent")
        for target in (parent, os.getppid() or parent)
    ]


def remember(word: str) -> list[str]:
    """Change what a later child would be: this module, one that reads, and a function of the library."""
    import inktally.reading.child as reading

    kept.append(word)
    reading.read_page = lambda **_: {"pages": 1, "page": {"number": 1, "width": 9, "height": 9}, "words": []}
    json.dumps = lambda *_, **__: '{"result": "forged"}'
    return kept


def recall() -> list[str]:
    return kept


def call_the_kernel() -> dict[str, int]:
    """Calls that reach beyond the child; 0 or more where one was made, else the number of the error."""
    libc = ctypes.CDLL(None, use_errno=True)
    calls = {
        "unshare": (272, 0x1000_0000), "ptrace": (101, 0, 0, 0, 0), "io_uring_setup": (425, 1, 0), "bpf": (321, 0, 0, 0),
        "keyctl": (250, 0, -3, 1), "shmget": (29, 0, 4096, 0o1600), "socket": (41, 1, 1, 0),
        "memfd_create": (319, 0, 0), "mount": (165, 0, 0, 0, 0, 0), "x32": (0x4000_0000 + 41, 1, 1, 0),
    }  # fmt: skip
    done = {}
    for name, call in calls.items():
        ctypes.set_errno(0)
        result = libc.syscall(*map(ctypes.c_long, call))
        done[name] = result if result >= 0 else -ctypes.get_errno()
    return done


def clone_a_namespace() -> str:
    return tried(lambda: subprocess.run(["unshare", "-U", "true"], check=False, timeout=20).returncode)


def who() -> dict[str, Any]:
    """This process as the kernel has it, and what it has open."""
    libc = ctypes.CDLL(None)
    capabilities = ctypes.create_string_buffer(24)
    libc.capget(ctypes.create_string_buffer((0x2008_0522).to_bytes(4, "little") + bytes(4)), capabilities)
    is_open = []
    for number in range(256):
        with suppress(OSError):
            os.fstat(number)
            is_open.append(number)
    return {
        "user": os.getresuid(),
        "groups": [*os.getresgid(), *os.getgroups()],
        "capabilities": capabilities.raw.hex().strip("0"),
        "can_gain": libc.prctl(39, 0, 0, 0, 0),
        "open": is_open,
        "environment": dict(os.environ),
    }


def leave_a_link(target: str, file: str) -> str:
    """Where a file is expected, so that the parent reads or overwrites another."""
    return tried(lambda: os.symlink(file, target) or "linked")


def leave_a_folder(target: str) -> None:
    Path(target).mkdir()


def leave_a_file(target: str) -> None:
    Path(target).write_text("plain")


def main(facts: dict[str, Any]) -> dict[str, Any]:
    """Have each attack tried, one after the other, in one sandbox."""
    from inktally.errors import InktallyError
    from inktally.sandbox import kernel
    from inktally.sandbox.parent import Sandbox

    if not facts["namespaces"]:
        kernel.refuse_calls()
    scratch = Path(facts["scratch"])
    sandbox = Sandbox(1, scratch, memory=400)

    def run(
        attack: str, *, reads: list[str] = [], writes: list[str] = [], seconds: float = 60, **arguments: Any
    ) -> Any:
        try:
            return sandbox.call(
                f"tests.support.attacks:{attack}", arguments, seconds=seconds, reads=reads, writes=writes
            )
        except InktallyError as error:
            return f"{error.kind}: {error}"

    target = scratch / "target"
    own = scratch / "own"
    own.write_text("own")
    done = {
        "who": run("who"),
        "read_processes": run("read_processes", parent=os.getpid()),
        "read_files": run("read_files", paths=facts["files"]),
        "read_own": run("read_files_named", reads=["own"], own=str(own)),
        "write_files": run("write_files", reads=["own"], folders=facts["folders"], own=str(own)),
        "connect": run("connect", port=facts["port"], abstract=facts["abstract"], path=facts["path"]),
        "survive": [run("survive"), run("survive_a_crash"), run("survive_a_timeout", seconds=2)],
        "disturb": run("disturb", parent=os.getpid()),
        "remember": run("remember", word="hello"),
        "recall": run("recall"),
        "call_the_kernel": run("call_the_kernel"),
        "clone_a_namespace": run("clone_a_namespace"),
        "leave_a_link": run("leave_a_link", writes=["target"], target=str(target), file=facts["files"][0]),
        "leave_a_folder": run("leave_a_folder", writes=["target"], target=str(target)),
        "target": target.exists(),
        "leave_a_file": run("leave_a_file", writes=["target"], target=str(target)),
        "taken": target.read_text() if target.exists() else "",
        "own": own.read_text(),
    }
    sandbox.close()
    return done


def read_files_named(own: str) -> str:
    return Path(own).read_text()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
