"""The child's side of inktally/sandbox/parent.py: `python -m inktally.sandbox.child MEGABYTES [MODULE…]`.

It limits itself before it sees a stranger's byte, imports the modules, and answers requests, each a line of JSON, until
its input ends. Nothing slow is imported here: every new child would pay for it.
"""

import ctypes
import errno
import json
import os
import queue
import re
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, TextIO

from inktally.scratch import is_disk_full

MEGABYTE = 1024 * 1024
FILE_SIZE = 2048 * MEGABYTE
UNTOUCHED = 1024 * MEGABYTE  # that libraries may reserve beyond what they use; what they use, the parent watches
OUT_OF_MEMORY = re.compile("insufficient memory|out of memory|bad_alloc|allocate memory", re.IGNORECASE)
NO_NEW_PRIVILEGES, ADOPT_ORPHANS = 38, 36  # prctl(2): PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER


def main() -> None:
    """Answer requests until the parent closes our input."""
    _limit_ourselves(int(sys.argv[1]) * MEGABYTE)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    for module in sys.argv[2:]:
        import_module(module)
    while True:
        _answer(json.loads(requests.get()), answers)


def _limit_ourselves(memory: int) -> None:
    """What we start inherits all of it. The limit of data stops a leap that the parent would see too late."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    resource.setrlimit(resource.RLIMIT_DATA, (memory + UNTOUCHED, memory + UNTOUCHED))
    with suppress(OSError, AttributeError):  # only Linux has it
        libc = ctypes.CDLL(None)
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc.prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def _limit_time(seconds: float) -> None:
    """Of the processor, from now on: it ends us even when our parent has died and a decoder never returns."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _answer(request: Mapping[str, Any], answers: TextIO) -> None:
    _limit_time(request["seconds"])
    module, _, function = request["function"].partition(":")
    try:
        answer = {"result": getattr(import_module(module), function)(**request["arguments"])}
    except Exception as error:  # noqa: BLE001 - the parent raises it again
        answer = {"error": {"kind": _kind(error), "message": str(error)}}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _kind(error: Exception) -> str:
    if is_disk_full(error):
        return "ScratchFull"
    is_ours = type(error).__module__ == "inktally.errors"
    is_file_too_large = isinstance(error, OSError) and error.errno == errno.EFBIG
    is_out_of_memory = not is_ours and OUT_OF_MEMORY.search(str(error))
    return "MemoryError" if is_file_too_large or is_out_of_memory else type(error).__name__


def _listen(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
