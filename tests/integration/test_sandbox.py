"""The limits of the children that read pictures, with functions that break them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Set as AbstractSet
from pathlib import Path
from typing import Any

import psutil
import pytest

from inktally.errors import EngineFailed, RecognitionTimeout, ScratchFull, Stopped, TooLarge, UnreadablePicture
from inktally.sandbox.confinement import confinement
from inktally.sandbox.parent import Sandbox
from inktally.scratch import scratch_folder

Call = Callable[..., Any]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(1, tmp_path, memory=200)
    yield made
    made.close()


@pytest.fixture
def call(sandbox: Sandbox) -> Call:
    """Call a function of tests/support/hostile.py in the sandbox."""

    def called(function: str, seconds: float = 60, writes: tuple[str, ...] = (), **arguments: Any) -> Any:
        return sandbox.call(f"tests.support.hostile:{function}", arguments, seconds=seconds, writes=writes)

    return called


class TestMemory:
    """Resident, of the child and all it has started."""

    def test_a_picture_that_takes_too_much_is_refused_and_the_next_is_read(self, call: Call) -> None:
        with pytest.raises(TooLarge, match="more than 200 MB"):
            call("take", megabytes=2000)
        assert call("be_well")

    def test_so_is_one_that_would_take_it_in_one_leap(self, call: Call) -> None:
        with pytest.raises(TooLarge, match="more than 200 MB"):
            call("leap", megabytes=3000)
        assert call("be_well")

    def test_what_it_has_started_counts_even_when_it_was_left_behind(self, call: Call) -> None:
        with pytest.raises(TooLarge):
            call("have_another_take", megabytes=500)

    def test_a_picture_gets_all_of_it_whatever_the_one_before_took(self, call: Call) -> None:
        assert [call("take", megabytes=120) for _ in range(3)] == [True] * 3


class TestTime:
    """By the clock on the wall while the parent lives; when it does not, its children end at once."""

    def test_a_decoder_that_never_returns_is_stopped(self, call: Call) -> None:
        begun = time.monotonic()
        with pytest.raises(RecognitionTimeout, match="1 seconds"):
            call("never_return", seconds=1)
        assert time.monotonic() - begun < 20

    def test_a_decoder_that_never_returns_ends_with_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        program = (
            "from pathlib import Path; from inktally.sandbox.parent import Sandbox; "
            f"Sandbox(1, Path({str(tmp_path)!r})).call('tests.support.hostile:never_return', {{}}, seconds=60)"
        )
        parent = subprocess.Popen([sys.executable, "-c", program])
        children = eventually(lambda: reading(parent.pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        eventually(lambda: not any(map(is_alive, children)), 10)


def test_a_crash_is_the_pictures_fault_and_leaves_no_core(call: Call) -> None:
    with pytest.raises(UnreadablePicture, match="broke its decoder"):
        call("crash")
    assert call("cores") == [0, 0]


def test_a_file_that_grows_too_large_is_refused(call: Call, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        call("grow_a_file", file=str(tmp_path / "large"), megabytes=10_000, writes=("file",))


def test_an_answer_that_is_none_is_not_believed(call: Call) -> None:
    with pytest.raises(EngineFailed, match="an answer that is none"):
        call("answer_nonsense")
    assert call("be_well")


class TestFullDisk:
    """Nothing is wrong with the picture: it can be tried again."""

    def test_in_the_child(self, call: Call) -> None:
        with pytest.raises(ScratchFull) as caught:
            call("fill_the_disk", file="/dev/full")
        assert caught.value.retryable
        assert call("be_well")

    def test_in_the_parent(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ScratchFull, match="INKTALLY_SCRATCH"),
            scratch_folder(tmp_path),
            Path("/dev/full").open("w") as full,
        ):
            full.write("x" * 100_000)


class TestClosed:
    """On an interrupt nobody waits for a picture."""

    def test_the_picture_being_read_is_left_at_once(self, sandbox: Sandbox, call: Call, tmp_path: Path) -> None:
        errors, others = list[BaseException](), processes_below(os.getpid())

        def read() -> None:
            with pytest.raises(Stopped) as caught:
                call("sleep")
            errors.append(caught.value)

        reader = threading.Thread(target=read)
        reader.start()
        children = eventually(lambda: reading(os.getpid(), others))
        begun = time.monotonic()
        sandbox.close()
        reader.join(20)
        assert (len(errors), time.monotonic() - begun < 10) == (1, True)
        assert not any(map(is_alive, children))
        assert list(tmp_path.rglob("*scratch-*")) == []

    def test_nothing_is_read_any_more(self, sandbox: Sandbox, call: Call) -> None:
        sandbox.close()
        with pytest.raises(Stopped):
            call("be_well")

    def test_the_end_of_the_process_closes_it_but_not_the_end_of_a_fork(self, tmp_path: Path) -> None:
        program = (
            "import os, psutil; from pathlib import Path; from inktally.sandbox.parent import Sandbox, close_all; "
            f"sandbox = Sandbox(1, Path({str(tmp_path)!r})); call = sandbox.call; "
            "zygotes = lambda: [each.pid for each in psutil.Process().children(recursive=True)]; "
            "call('tests.support.hostile:be_well', {}, seconds=60); print(*zygotes()); fork = os.fork(); "
            "fork or (close_all(), os._exit(0)); os.waitpid(fork, 0); "
            "call('tests.support.hostile:be_well', {}, seconds=60); print(*zygotes())"
        )
        told = subprocess.check_output([sys.executable, "-c", program], text=True)
        first, second = told.splitlines()
        assert first == second != ""
        assert not any(is_alive(int(pid)) for pid in first.split())
        assert list(tmp_path.rglob("*scratch-*")) == []


def processes_below(parent: int) -> set[int]:
    return {each.pid for each in psutil.Process(parent).children(recursive=True)}


def reading(parent: int, others: AbstractSet[int] = frozenset()) -> set[int]:
    """The processes below one but for others: a zygote, what waits for it, and the child; none without a child."""
    found = processes_below(parent) - others
    return found if len(found) > 1 + confinement().namespaces else set()


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def eventually(found: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
    return answer
