"""What a decoder may do when a picture has got the better of it; the sandbox's tests have their children call these."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

MEGABYTE = 1024 * 1024
kept: list[bytearray] = []


def be_well() -> int:
    return os.getpid()


def take(megabytes: int) -> int:
    """Touch so much memory, 10 MB at a time, and give it back."""
    taken = []
    for _ in range(0, megabytes, 10):
        taken.append(bytearray(os.urandom(1)) * (10 * MEGABYTE))
        time.sleep(0.01)
    return os.getpid()


def leap(megabytes: int) -> int:
    """Without touching it, so that it is not seen from outside."""
    import numpy as np

    return np.empty(megabytes * MEGABYTE, np.uint8).size


def leak(megabytes: int) -> int:
    """Slowly enough to be seen."""
    kept.append(bytearray(b"x") * (megabytes * MEGABYTE))
    time.sleep(0.2)
    return os.getpid()


def have_another_take(megabytes: int) -> None:
    """Start a process that starts one that takes the memory, and leave it behind."""
    program = f"from tests.support import hostile; hostile.take({megabytes}); import time; time.sleep(60)"
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {program!r}])"
    subprocess.run([sys.executable, "-c", orphan], check=True)
    time.sleep(60)


def sleep(started: str) -> None:
    Path(started).write_text(str(os.getpid()))
    time.sleep(60)


def never_return(started: str) -> None:
    """As a decoder in C would hang: no other thread of Python gets a turn."""
    Path(started).write_text(str(os.getpid()))
    re.match("(a+)+$", "a" * 60 + "b")


def crash() -> None:
    os.abort()


def fill_the_disk(file: str) -> None:
    """/dev/full is a disk without room."""
    with Path(file).open("wb") as full:
        full.write(b"x" * MEGABYTE)


def grow_a_file(file: str, megabytes: int) -> None:
    os.truncate(file, megabytes * MEGABYTE)


def answer_nonsense() -> None:
    """On whatever is open for writing, the way to the parent among it."""
    for number in range(3, 12):
        try:
            os.write(number, b'{"result": 1, "orders": ["rm"]}\n')
        except OSError:
            continue
    time.sleep(60)


def status() -> dict[str, str]:
    """What the system says of this process, and of its limits."""
    told = Path("/proc/self/status").read_text().splitlines()
    limits = Path("/proc/self/limits").read_text().splitlines()
    told_of = {name: value.strip() for name, _, value in (line.partition(":") for line in told)}
    return told_of | {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}


def kill_parent() -> None:
    """As a machine that is out of memory may do."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def say(characters: int) -> str:
    return "x" * characters


def say_without_end() -> None:
    """On whatever is open for writing, and never a whole line."""
    while True:
        for number in range(3, 12):
            try:
                os.write(number, b"x" * MEGABYTE)
            except OSError:
                continue
