"""Child processes in which pictures are decoded and read, so that no picture can harm or outlive the parent.

Each request is answered by a child of its own, which a process that has everything loaded forks for it
(inktally/sandbox/zygote.py). The child is handed no secret of the environment, gives up its rights before it looks at
the picture (inktally/sandbox/confinement.py), and has two folders: what it is given to read, and what it may write.
When it takes too long or too much memory, it is killed with all that it has started. When the parent dies, however it
dies, the zygote sees its socket end and does the same.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from inktally.errors import InktallyError, Stopped
from inktally.sandbox.confinement import require_all
from inktally.sandbox.files import HandedOver
from inktally.sandbox.forked import ANSWER, Reply, Zygote
from inktally.sandbox.watchdog import Watchdog
from inktally.scratch import scratch_folder, turn

MEMORY = 1200  # MB

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
    """A child for each request; `size` requests at once on the whole machine, the others wait.

    Children have their folders below `scratch`, and the modules `preload` imported. One that takes more than `memory`
    MB, with all it has started, is killed, and so is one whose answer has more than `answer` bytes, of which no more
    are read. `programs` are commands that children start, where they are not on PATH.
    With `strict`, nothing is read on a machine that cannot confine them wholly.
    """

    def __init__(
        self,
        size: int,
        scratch: Path,
        preload: Sequence[str] = (),
        *,
        memory: int = MEMORY,
        answer: int = ANSWER,
        programs: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        self._scratch = scratch
        self._size = size
        self._preload = preload
        self._memory = memory
        self._answer = answer
        self._programs = programs
        self._strict = strict
        self._zygote: Zygote | None = None
        self._owner = os.getpid()
        self._is_closed = False
        self._lock = threading.Lock()
        self._own_turns = threading.BoundedSemaphore(size)  # no more of us look for a turn than can get one
        _open.add(self)

    def warm_up(self) -> None:
        """Start the zygote, without waiting for it. Raises `BadSettings` where the machine must not be used."""
        self._running()

    def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        loads: str = "",
        is_wanted: Callable[[], bool] | None = None,
    ) -> Any:
        """Call `module:function` in a child with JSON arguments; its JSON result. `is_wanted` is asked all the while.

        The child has no file but those whose paths are arguments: `reads` and `writes` name these arguments, which
        are other paths there. `loads` is a function that takes the same arguments and loads what the call needs; it is
        called in the zygote, once for all children, and must not open what is read.

        Raises what the function raised (of `inktally.errors`), `RecognitionTimeout` after `seconds` seconds, `TooLarge`
        when it took too much memory, `UnreadablePicture` when the child crashed, `ScratchFull` when the disk was full,
        `EngineFailed` when it was killed or broke otherwise, `Stopped` after `close`, `BadSettings` where the machine
        must not be used.
        """
        request = {"function": function, "loads": loads, "memory": self._memory}
        try:
            with (
                self._own_turns,
                turn(self._scratch, self._size),
                scratch_folder(self._scratch) as folder,
                HandedOver(folder, arguments, reads, writes) as files,
            ):
                request |= {"folder": str(folder), "arguments": files.arguments}
                answer = self._ask(request, Watchdog(seconds, self._memory, is_wanted or (lambda: True)))
                result = answer.given()
                files.take()
        except InktallyError as error:
            if self._is_closed:
                raise self._stopped() from error
            raise
        return result

    def close(self) -> None:
        """Kill all children at once, whatever they are doing. Whoever waits for one, or asks again, gets `Stopped`."""
        if self._owner != os.getpid():  # a fork of the process whose children they are
            return
        with self._lock:
            self._is_closed = True
            zygote, self._zygote = self._zygote, None
        if zygote:
            zygote.end()

    def _ask(self, request: Mapping[str, Any], watch: Watchdog) -> Reply:
        with self._running().fork({**request, "seconds": watch.seconds}) as child:
            return child.answer(watch, self._answer)

    def _running(self) -> Zygote:
        with self._lock:
            if self._is_closed:
                raise self._stopped()
            if self._zygote is None or not self._zygote.alive:
                if self._zygote:
                    self._zygote.end()
                if self._strict:
                    require_all()
                self._zygote = Zygote(self._scratch, self._preload, self._programs)
            return self._zygote

    @staticmethod
    def _stopped() -> Stopped:
        return Stopped("Recognition was interrupted; the picture will be read when it is asked for again.")
