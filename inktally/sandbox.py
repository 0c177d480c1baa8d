"""Child processes in which pictures are decoded and read, so that no picture can harm or outlive the parent.

A child leads a process group of its own, owns a temporary folder, is handed no secret of the environment, and
answers one request at a time, each a line of JSON. When a request takes too long, the whole group is killed and the
folder removed. When the parent dies, however it dies, the child sees its input end and does both itself.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from inktally import errors
from inktally.errors import EngineFailed, InktallyError, RecognitionTimeout, UnreadablePicture
from inktally.scratch import scratch_folder, turn

LONGEST_ANSWER = 1 << 28
logger = logging.getLogger(__name__)

INHERITED = ("PATH", "LANG", "LC_ALL", "HOME", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "PYTHONPATH", "VIRTUAL_ENV")
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


class Sandbox:
    """Children that are kept for the next request; `size` requests at once on the whole machine, the others wait.

    Children have their folders below `scratch` and import the modules `preload` before their first request.
    """

    def __init__(self, size: int, scratch: Path, preload: Sequence[str] = ()) -> None:
        self._scratch = scratch
        self._preload = preload
        self._size = size
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._is_warm = False

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
        """Call `module:function` in a child with JSON arguments; its JSON result.

        Raises what the function raised (of `inktally.errors`), `RecognitionTimeout` after `seconds` seconds,
        `UnreadablePicture` when the child crashed, `EngineFailed` when it was killed or broke otherwise.
        """
        with turn(self._scratch, self._size):
            child = self._next_child()
            try:
                answer = child.ask({"function": function, "arguments": dict(arguments)}, seconds)
            except BaseException:
                child.kill()
                raise
            if "error" in answer and not _known(answer["error"]):
                child.kill()
            else:
                self._idle.put(child)
        if "error" in answer:
            raise error_of(answer["error"])
        return answer["result"]

    def _next_child(self) -> _Child:
        while True:
            try:
                child = self._idle.get_nowait()
            except queue.Empty:
                return self._new_child()
            if child.alive:
                return child
            child.kill()

    def _new_child(self) -> _Child:
        return _Child(self._scratch, self._preload)


class _Child:
    def __init__(self, scratch: Path, preload: Sequence[str]) -> None:
        self._cleanup = ExitStack()
        folder = self._cleanup.enter_context(scratch_folder(scratch))
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {"TMPDIR": str(folder), "OMP_THREAD_LIMIT": "1", "PYTHONUTF8": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "inktally.sandbox", *preload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where decoders grumble; errors come as answers
            env=environment,
            start_new_session=True,
            text=True,
            encoding="utf-8",
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._kill_group()

        limit = threading.Timer(seconds, expire)
        limit.start()
        try:
            answer = self._exchange(json.dumps(request))
        finally:
            limit.cancel()
        if answer:
            parsed: dict[str, Any] = json.loads(answer)
            return parsed
        if expired.is_set():
            raise RecognitionTimeout(f"Recognition was stopped after {seconds:g} seconds; try a smaller picture.")
        raise self._death()

    def _exchange(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        return self._process.stdout.readline()

    def _death(self) -> InktallyError:
        status = self._process.wait()
        if -status in CRASHES:
            return UnreadablePicture("The picture broke its decoder; save it again as PNG and send that.")
        return EngineFailed(f"The recognition process ended unexpectedly (status {status}); it will be tried again.")

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            logger.debug("process group %d had gone already", self._process.pid)

    def kill(self) -> None:
        self._kill_group()
        self._process.wait()
        self._cleanup.close()


def _known(problem: Mapping[str, str]) -> type[InktallyError] | None:
    known = getattr(errors, problem["kind"], None)
    return known if isinstance(known, type) and issubclass(known, InktallyError) else None


def error_of(problem: Mapping[str, str]) -> InktallyError:
    known = _known(problem)
    if known:
        return known(problem["message"])
    return EngineFailed(f"The recognition engine failed: {problem['kind']}: {problem['message']}")


def _serve(requests: queue.SimpleQueue[str], answers: TextIO) -> None:
    while True:
        request = json.loads(requests.get())
        module, _, function = request["function"].partition(":")
        try:
            answer = {"result": getattr(import_module(module), function)(**request["arguments"])}
        except Exception as error:  # noqa: BLE001 - the parent raises it again
            answer = {"error": {"kind": type(error).__name__, "message": str(error)}}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _listen(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Answer requests until the parent closes our input; the arguments are modules to import beforehand."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    for module in sys.argv[1:]:
        import_module(module)
    _serve(requests, answers)


if __name__ == "__main__":
    main()
