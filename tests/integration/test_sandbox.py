"""The limits of the children that read pictures, with functions that break them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from inktally.errors import EngineFailed, RecognitionTimeout, ScratchFull, Stopped, TooLarge, UnreadablePicture
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

    def called(function: str, seconds: float = 60, **arguments: Any) -> Any:
        return sandbox.call(f"tests.support.hostile:{function}", arguments, seconds=seconds)

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

    def test_what_other_pictures_have_left_behind_does_not_count(self, call: Call) -> None:
        assert len({call("leak", megabytes=80) for _ in range(4)}) > 1
        assert call("take", megabytes=100)


class TestTime:
    """By the clock on the wall while the parent lives, by the processor's when it does not."""

    def test_a_decoder_that_never_returns_is_stopped(self, call: Call, tmp_path: Path) -> None:
        begun = time.monotonic()
        with pytest.raises(RecognitionTimeout, match="1 seconds"):
            call("never_return", seconds=1, started=str(tmp_path / "started"))
        assert time.monotonic() - begun < 20

    def test_even_after_the_parent_has_been_killed(self, tmp_path: Path) -> None:
        started = tmp_path / "started"
        program = (
            "from pathlib import Path; from inktally.sandbox.parent import Sandbox; "
            f"Sandbox(1, Path({str(tmp_path)!r})).call('tests.support.hostile:never_return', "
            f"{{'started': {str(started)!r}}}, seconds=1)"
        )
        parent = subprocess.Popen([sys.executable, "-c", program])
        child = int(eventually(lambda: started.exists() and started.read_text()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        eventually(lambda: not is_alive(child))


def test_a_crash_is_the_pictures_fault_and_leaves_no_core(call: Call) -> None:
    with pytest.raises(UnreadablePicture, match="broke its decoder"):
        call("crash")
    assert call("status")["Max core file size"] == "0"


def test_a_child_can_gain_no_privileges(call: Call) -> None:
    assert call("status")["NoNewPrivs"] == "1"


def test_a_file_that_grows_too_large_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    with pytest.raises(TooLarge):
        call("grow_a_file", file=str(tmp_path / "large"), megabytes=10_000)


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


def test_a_child_is_replaced_after_so_many_requests(tmp_path: Path) -> None:
    sandbox = Sandbox(1, tmp_path, requests=3)
    children = [sandbox.call("tests.support.hostile:be_well", {}, seconds=60) for _ in range(7)]
    assert [children.count(child) for child in dict.fromkeys(children)] == [3, 3, 1]
    assert [child for child in dict.fromkeys(children) if is_alive(child)] == children[-1:]
    sandbox.close()


class TestClosed:
    """On an interrupt nobody waits for a picture."""

    def test_the_picture_being_read_is_left_at_once(self, sandbox: Sandbox, call: Call, tmp_path: Path) -> None:
        started, errors = tmp_path / "started", list[BaseException]()

        def read() -> None:
            with pytest.raises(Stopped) as caught:
                call("sleep", started=str(started))
            errors.append(caught.value)

        reader = threading.Thread(target=read)
        reader.start()
        child = int(eventually(lambda: started.exists() and started.read_text()))
        begun = time.monotonic()
        sandbox.close()
        reader.join(20)
        assert (len(errors), is_alive(child), time.monotonic() - begun < 10) == (1, False, True)
        assert list(tmp_path.rglob("*scratch-*")) == []

    def test_nothing_is_read_any_more(self, sandbox: Sandbox, call: Call) -> None:
        sandbox.close()
        with pytest.raises(Stopped):
            call("be_well")

    def test_the_end_of_the_process_closes_it_but_not_the_end_of_a_fork(self, tmp_path: Path) -> None:
        program = (
            "import os; from pathlib import Path; from inktally.sandbox.parent import Sandbox, close_all; "
            f"sandbox = Sandbox(1, Path({str(tmp_path)!r})); call = sandbox.call; "
            "print(call('tests.support.hostile:be_well', {}, seconds=60)); fork = os.fork(); "
            "fork or (close_all(), os._exit(0)); os.waitpid(fork, 0); "
            "print(call('tests.support.hostile:be_well', {}, seconds=60))"
        )
        first, second = subprocess.check_output([sys.executable, "-c", program], text=True).split()
        assert first == second
        assert not is_alive(int(first))
        assert list(tmp_path.rglob("*scratch-*")) == []


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def eventually(found: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
    return answer
