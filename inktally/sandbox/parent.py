"""Child processes in which pictures are decoded and read, so that no picture can harm or outlive the parent.

A child leads a process group of its own, owns a temporary folder, is handed no secret of the environment, and
answers one request at a time, each a line of JSON (inktally/sandbox/child.py). When a request takes too long or too
much memory, the whole group is killed and the folder removed. When the parent dies, however it dies, the child sees its
input end and does both itself.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from pydantic import ValidationError

from inktally.delivery import Problem
from inktally.document import Value
from inktally.errors import EngineFailed, InktallyError, Stopped, TooLarge, UnreadablePicture, error_named
from inktally.sandbox.watchdog import Watchdog, too_late, too_much_memory
from inktally.scratch import scratch_folder, turn

INHERITED = ("PATH", "LANG", "LC_ALL", "HOME", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "PYTHONPATH", "VIRTUAL_ENV")
OWN = {"OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2"}
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
MEMORY = 1200  # MB
REQUESTS = 100  # that a child answers before another takes its place, so that nothing that leaks grows
ANSWER = 1024 * 1024  # bytes

_open: WeakSet[Sandbox] = WeakSet()


@atexit.register
def close_all() -> None:
    """Kill whatever reads a picture for this process now: for an interrupt, whose sender waits."""
    for sandbox in list(_open):
        sandbox.close()


@contextmanager
def closed_on_interrupt() -> Iterator[None]:
    """Kill what reads pictures when the block is interrupted: whoever interrupts us waits for our end."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            close_all()
        raise


class Sandbox:
    """Children that are kept for the next request; `size` requests at once on the whole machine, the others wait.

    Children have their folders below `scratch` and import the modules `preload` before their first request. One that
    takes more than `memory` MB, with all it has started, is killed, and so is one whose answer has more than `answer`
    bytes, of which no more are read; one that has answered `requests` is replaced.
    """

    def __init__(
        self,
        size: int,
        scratch: Path,
        preload: Sequence[str] = (),
        *,
        memory: int = MEMORY,
        requests: int = REQUESTS,
        answer: int = ANSWER,
    ) -> None:
        self._size = size
        self._scratch = scratch
        self._preload = preload
        self._memory = memory
        self._requests = requests
        self._answer_bytes = answer
        self._idle: queue.LifoQueue[_KeptChild] = queue.LifoQueue()
        self._children: set[_KeptChild] = set()
        self._owner = os.getpid()
        self._is_warm = self._is_closed = False
        self._lock = threading.Lock()
        self._own_turns = threading.BoundedSemaphore(size)  # no more of us look for a turn than can get one
        _open.add(self)

    def warm_up(self) -> None:
        """Start a first child, without waiting for it."""
        if not self._is_warm:
            self._is_warm = True
            self._idle.put(self._new_child())

    def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Any:
        """Call `module:function` in a child with JSON arguments; its JSON result. `is_wanted` is asked all the while.

        Raises what the function raised (of `inktally.errors`), `RecognitionTimeout` after `seconds` seconds, `TooLarge`
        when it took too much memory, `UnreadablePicture` when the child crashed, `ScratchFull` when the disk was full,
        `EngineFailed` when it was killed or broke otherwise, `Stopped` after `close`.
        """
        request = {"function": function, "arguments": dict(arguments)}
        try:
            with self._own_turns, turn(self._scratch, self._size):
                answer = self._answer(request, seconds, is_wanted)
        except InktallyError as error:
            if self._is_closed:
                raise self._stopped() from error
            raise
        return answer.given()

    def close(self) -> None:
        """Kill all children at once, whatever they are doing. Whoever waits for one, or asks again, gets `Stopped`."""
        if self._owner != os.getpid():  # a fork of the process whose children they are
            return
        with self._lock:
            self._is_closed = True
            children, self._children = self._children, set()
        for child in children:
            child.kill()

    def _answer(self, request: Mapping[str, Any], seconds: float, is_wanted: Callable[[], bool]) -> Reply:
        """What a child has left behind in its memory is not held against the next picture: a new child decides."""
        child, end = self._next_child(), time.monotonic() + seconds
        is_new = not child.answered
        try:
            return self._ask(child, request, seconds, is_wanted)
        except TooLarge:
            if is_new:
                raise
            return self._ask(self._new_child(), request, end - time.monotonic(), is_wanted)

    def _ask(
        self, child: _KeptChild, request: Mapping[str, Any], seconds: float, is_wanted: Callable[[], bool]
    ) -> Reply:
        if child.answered + 1 >= self._requests:
            self._idle.put(self._new_child())  # which gets ready while the old one reads its last picture
        try:
            answer = child.ask(request, Watchdog(seconds, self._memory, is_wanted))
        except BaseException:
            self._end(child)
            raise
        if child.answered >= self._requests or (answer.error and error_named(answer.error.kind) is InktallyError):
            self._end(child)
        else:
            self._idle.put(child)
        return answer

    def _next_child(self) -> _KeptChild:
        while True:
            try:
                child = self._idle.get_nowait()
            except queue.Empty:
                return self._new_child()
            if child.alive:
                return child
            self._end(child)

    def _new_child(self) -> _KeptChild:
        with self._lock:
            if self._is_closed:
                raise self._stopped()
            child = _KeptChild(self._scratch, [str(self._memory), *self._preload], self._answer_bytes)
            self._children.add(child)
            return child

    def _end(self, child: _KeptChild) -> None:
        with self._lock:
            self._children.discard(child)
        child.kill()

    @staticmethod
    def _stopped() -> Stopped:
        return Stopped("Recognition was interrupted; the picture will be read when it is asked for again.")


class Reply(Value):
    """What a child has written: the result of a call, or why there is none."""

    result: Any = None
    error: Problem | None = None

    def given(self) -> Any:
        """The result. Raises the error."""
        if self.error:
            raise error_of(self.error)
        return self.result


class _KeptChild:
    def __init__(self, scratch: Path, arguments: Sequence[str], most: int) -> None:
        self._cleanup = ExitStack()
        folder = self._cleanup.enter_context(scratch_folder(scratch))
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {**OWN, "TMPDIR": str(folder)}
        self.answered = 0
        self._most = most
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "inktally.sandbox.child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where decoders grumble; errors come as answers
            env=environment,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Its end is only looked at, so that nobody else can get its number before its group has been killed."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def ask(self, request: Mapping[str, Any], watch: Watchdog) -> Reply:
        """The answer, as the child has written it; raises when there is none."""
        with watch.over(self._process.pid, self._kill_group):
            answer = self._exchange(json.dumps({**request, "seconds": watch.seconds}).encode() + b"\n")
        if not answer.endswith(b"\n"):
            raise watch.verdict or self._death(watch.seconds, len(answer))
        self.answered += 1
        return _parsed(answer, watch.megabytes)

    def _exchange(self, line: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            return b""
        return self._process.stdout.readline(self._most + 1)

    def _death(self, seconds: float, answered: int) -> InktallyError:
        self._kill_group()  # it may still be writing more than we would ever read
        status = self._process.wait()
        if answered > self._most:
            return TooLarge(f"What is read on the picture takes more than {self._most:,} bytes; send it in parts.")
        if -status in CRASHES:
            return UnreadablePicture("The picture broke its decoder; save it again as PNG and send that.")
        if -status == signal.SIGXCPU:
            return too_late(seconds)
        return EngineFailed(f"The recognition process ended unexpectedly (status {status}); it will be tried again.")

    def _kill_group(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        self._kill_group()
        self._process.wait()
        self._cleanup.close()


def _parsed(line: bytes, memory: int) -> Reply:
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
