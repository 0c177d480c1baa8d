"""The parent's end of the zygote: it asks for a child, hears of its end, and reads its answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from inktally.delivery import Problem
from inktally.document import Value
from inktally.errors import EngineFailed, InktallyError, TooLarge, UnreadablePicture, error_named
from inktally.sandbox.watchdog import Watchdog, too_late, too_much_memory
from inktally.scratch import scratch_folder

INHERITED = ("PATH", "LANG", "LC_ALL", "HOME", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "PYTHONPATH", "VIRTUAL_ENV")
LARGE_PAGES = ":".join(
    f"glibc.malloc.{name}"
    for name in ("hugetlb=1", "mmap_threshold=67108864", "trim_threshold=268435456", "top_pad=16777216")
)
"""Memory in few large pieces, which are kept: a fork begins without any, and would spend 15 ms more on a page."""
OWN = {
    "OMP_THREAD_LIMIT": "1",
    "PYTHONUTF8": "1",
    "MALLOC_ARENA_MAX": "2",
    "GLIBC_TUNABLES": LARGE_PAGES,
    "OPENBLAS_NUM_THREADS": "1",  # this and the following keep an import from starting a thread, which no fork survives
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime would tell its makers what it is used for
}
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
ZYGOTE = "inktally.sandbox.zygote"
ANSWER = 1024 * 1024  # bytes
FORK_SECONDS = 120  # in which a zygote must have loaded what a request needs, and forked
END_SECONDS = 10  # that it gets to end by itself
LONGEST_NEWS = 64  # bytes that it says at once


class Reply(Value):
    """What a child has written: the result of a call, or why there is none."""

    result: Any = None
    error: Problem | None = None

    def given(self) -> Any:
        """The result. Raises the error."""
        if self.error:
            raise error_of(self.error)
        return self.result


class Zygote:
    """The process that forks the children, and the socket on which it is asked to."""

    def __init__(self, scratch: Path, preload: Sequence[str], programs: Sequence[str]) -> None:
        self._cleanup = ExitStack()
        folder = self._cleanup.enter_context(scratch_folder(scratch))
        if os.geteuid() == 0:
            folder.parent.chmod(0o711)  # its children are others; they pass through, to folders that are theirs
            folder.chmod(0o711)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        path = [environment.get("PATH", os.defpath), *(str(Path(program).parent) for program in programs)]
        environment |= {**OWN, "PATH": os.pathsep.join(path)}
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", ZYGOTE, str(theirs.fileno()), str(folder), *preload],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, request: Mapping[str, Any]) -> Child:
        """A child that answers the request. Raises `EngineFailed` when there is none to be had."""
        life, theirs = socket.socketpair()
        answers, written = os.pipe()
        try:
            with theirs, self._lock:
                socket.send_fds(self._socket, [b"+"], [theirs.fileno(), written])
            life.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            life.close()
            os.close(answers)
            raise lost() from error
        finally:
            os.close(written)
        return Child(life, answers)

    def end(self) -> None:
        """At once for all children; the socket's end tells the zygote to see to it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        self._cleanup.close()


class Child:
    """One child, as much of it as the parent has: a handle of its process, its answer, and the news of its end."""

    def __init__(self, life: socket.socket, answers: int) -> None:
        self._life = life
        self._answers = os.fdopen(answers, "rb")
        self._news = life.makefile("rb")
        self._handle: int | None = None
        self._pid = 0
        self._exit: int | None = None

    def __enter__(self) -> Self:
        """Wait until it has been forked. Raises `EngineFailed` when it is not."""
        try:
            self._life.settimeout(FORK_SECONDS)
            told, handles, _, _ = socket.recv_fds(self._life, LONGEST_NEWS, 1)
            self._life.settimeout(None)
            self._pid = json.loads(told)["pid"]
        except (OSError, ValueError) as error:
            self._close()
            raise lost() from error
        if handles:
            self._handle = handles[0]
            self._pid = _number_of(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left of it afterwards."""
        self._kill()
        self._status()
        self._close()

    def _close(self) -> None:
        self._news.close()
        self._life.close()
        self._answers.close()
        if self._handle is not None:
            os.close(self._handle)

    def answer(self, watch: Watchdog, most: int) -> Reply:
        """The answer of at most so many bytes, as the child has written it; raises when there is none."""
        with watch.over(self._pid, self._kill):
            answer = self._answers.readline(most + 1)
        if not answer.endswith(b"\n"):
            raise watch.verdict or self._death(watch.seconds, most if len(answer) > most else 0)
        return parsed(answer, watch.megabytes)

    def _death(self, seconds: float, exceeded: int) -> InktallyError:
        """`exceeded`: the bytes that its answer has more than, where it is too long."""
        self._kill()  # it may still be writing more than we would ever read
        status = self._status()
        if exceeded:
            return TooLarge(f"What is read on the picture takes more than {exceeded:,} bytes; send it in parts.")
        if status is None:
            return lost()
        if -status in CRASHES:
            return UnreadablePicture("The picture broke its decoder; save it again as PNG and send that.")
        if -status == signal.SIGXCPU:
            return too_late(seconds)
        return EngineFailed(f"The recognition process ended unexpectedly (status {status}); it will be tried again.")

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self._exit is None:
                os.kill(self._pid, signal.SIGKILL)

    def _status(self) -> int | None:
        """How it ended, when it has; None when nobody can know."""
        if self._exit is None:
            told = self._news.readline()
            self._exit = json.loads(told)["status"] if told else None
        return self._exit


def _number_of(handle: int) -> int:
    """The number of a process as we see it, which may be in a namespace with numbers of its own."""
    facts = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    return int(next(fact for fact in facts if fact.startswith("Pid:")).split()[1])


def lost() -> EngineFailed:
    return EngineFailed("The process that recognises pictures has ended; it will be tried again.")


def parsed(line: bytes, memory: int) -> Reply:
    """The child has read a stranger's bytes: what it answers is looked at before it is believed."""
    try:
        answer = Reply.model_validate_json(line)
    except ValidationError as error:
        raise EngineFailed("The recognition process gave an answer that is none; it will be tried again.") from error
    if answer.error and answer.error.kind == "MemoryError":
        raise too_much_memory(memory)
    return answer


def error_of(problem: Problem) -> InktallyError:
    known = error_named(problem.kind)
    if known is not InktallyError:
        return known(problem.message)
    return EngineFailed(f"The recognition engine failed: {problem.kind}: {problem.message}")
