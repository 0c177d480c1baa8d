"""A child that reads one picture: it limits and confines itself, answers one request with a line of JSON, and ends.

inktally/sandbox/zygote.py forks it. It has imported everything already, and has nothing open but the way to its answer.
"""

import errno
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from inktally.sandbox import kernel
from inktally.sandbox.confinement import OUT, Cell
from inktally.scratch import is_disk_full

MEGABYTE = 1024 * 1024
FILE_SIZE = 2048 * MEGABYTE
UNTOUCHED = 1024 * MEGABYTE  # that libraries may reserve beyond what they use; what they use, the parent watches
MOST_PROCESSES = 64  # of a user of its own; other users have processes of other programs too
OUT_OF_MEMORY = re.compile("insufficient memory|out of memory|bad_alloc|allocate memory", re.IGNORECASE)
ANSWERS = 3  # the descriptor


def be_child(request: Mapping[str, Any], answers: int, cell: Cell) -> None:
    """Answer the request on the descriptor `answers`; the process must end then. What goes wrong is an answer too."""
    try:
        _keep_only(answers)
        _limit(request["memory"] * MEGABYTE, request["seconds"], has_own_user=bool(cell.users))
        cell.confine(Path(request["folder"]))
        os.environ["TMPDIR"] = str(Path.cwd() / OUT)
        module, _, function = request["function"].partition(":")
        answer = {"result": getattr(import_module(module), function)(**request["arguments"])}
    except Exception as error:  # noqa: BLE001 - the parent raises it again
        answer = {"error": {"kind": _kind(error), "message": str(error)}}
    with os.fdopen(ANSWERS, "w", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\n")


def _keep_only(answers: int) -> None:
    """Close everything else that the process has inherited, and take on its group and its signals."""
    os.setsid()
    os.dup2(answers, ANSWERS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # where decoders grumble; errors come as answers
    os.closerange(ANSWERS + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        kernel.set_option(kernel.ADOPTS_ORPHANS, 1)  # so that their memory counts


def _limit(memory: int, seconds: float, *, has_own_user: bool) -> None:
    """What we start inherits all of it. The limit of data stops a leap that the parent would see too late.

    The time is the processor's; it ends us even when our parent has died and a decoder never returns.
    """
    processor = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    resource.setrlimit(resource.RLIMIT_DATA, (memory + UNTOUCHED, memory + UNTOUCHED))
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 1))  # in a namespace only the second ends us
    if has_own_user:
        resource.setrlimit(resource.RLIMIT_NPROC, (MOST_PROCESSES, MOST_PROCESSES))


def _kind(error: Exception) -> str:
    if is_disk_full(error):
        return "ScratchFull"
    is_ours = type(error).__module__ == "inktally.errors"
    is_file_too_large = isinstance(error, OSError) and error.errno == errno.EFBIG
    is_out_of_memory = not is_ours and OUT_OF_MEMORY.search(str(error))
    return "MemoryError" if is_file_too_large or is_out_of_memory else type(error).__name__
