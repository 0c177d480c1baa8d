"""How a decoder may break; the sandbox's tests have their children call these."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

MEGABYTE = 1024 * 1024


def be_well() -> bool:
    return True


def take(megabytes: int) -> bool:
    """Touch so much memory, 10 MB at a time, and give it back."""
    taken = []
    for _ in range(0, megabytes, 10):
        taken.append(bytearray(os.urandom(1)) * (10 * MEGABYTE))
        time.sleep(0.01)
    return True


def leap(megabytes: int) -> int:
    """Without touching it, so that it is not seen from outside."""
    import numpy as np

    return np.empty(megabytes * MEGABYTE, np.uint8).size


def have_another_take(megabytes: int) -> None:
    """Start a process that starts one that takes the memory, and leave it behind."""
    program = f"import time; taken = bytearray(b'x') * ({megabytes} * {MEGABYTE}); time.sleep(60)"
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {program!r}])"
    subprocess.run([sys.executable, "-c", orphan], check=True)
    time.sleep(60)


def sleep() -> None:
    time.sleep(60)


def never_return() -> None:
    """As a decoder in C would hang: no other thread of Python gets a turn."""
    re.match("(a+)+$", "a" * 60 + "b")


def crash() -> None:
    os.abort()


def fill_the_disk(file: str) -> None:
    """/dev/full is a disk without room."""
    with Path(file).open("wb") as full:
        full.write(b"x" * MEGABYTE)


def grow_a_file(file: str, megabytes: int) -> None:
    Path(file).touch()
    os.truncate(file, megabytes * MEGABYTE)


def answer_nonsense() -> None:
    """On whatever is open for writing, the way to the parent among it."""
    for number in range(3, 12):
        try:
            os.write(number, b'{"result": 1, "orders": ["rm"]}\n')
        except OSError:
            continue
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


def cores() -> tuple[int, int]:
    """How large a core dump may be."""
    return resource.getrlimit(resource.RLIMIT_CORE)
