"""What may go wrong goes wrong while pictures come in; in the end each has its answer, once."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from tests.stack import WORKER, Mail, Put, Stack, kill_run

SETTINGS = {
    "after": "delete",
    "sweep_grace_seconds": 4,
    "sweep_again_seconds": 15,
    "lease_seconds": 6,
    "recognition_workers": 1,  # so that a kill costs one recognition at most
    "deadline_seconds": 3600,  # no mails but answers
}
SLOWNESS = 0.7
"""Seconds that each recognition takes longer, so that there is something to be killed."""
LATE_SECONDS = 12.0
REFUSALS = 5
SWEEP_EVERY = 5.0


@dataclass
class Fault:
    """Something that is done once, as soon as `when` holds."""

    name: str
    when: Callable[[], bool]
    strike: Callable[[], bool]
    """Whether it has struck; if there was nothing to strike, it is tried again."""


@dataclass
class Repair:
    """What ends a fault that lasts, and when; meanwhile no other fault strikes."""

    when: Callable[[], bool]
    do: Callable[[], None]


@dataclass
class Result:
    """What was counted in the end."""

    uploads: int
    contents: int
    committed: int = 0
    started: int = 0
    kills: int = 0
    mails: int = 0
    delays: int = 0
    """Mails that say that the answer takes longer: what a run that fails tells, once for each upload."""
    lost: int = 0
    doubled: int = 0
    repeated: int = 0
    early: int = 0
    refused: int = 0
    sweeps: int = 0
    events: Counter[str] = field(default_factory=Counter)
    struck: dict[str, float] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    gave_up: bool = False

    @property
    def is_good(self) -> bool:
        bounded = self.committed == self.contents and self.started <= self.contents + self.kills
        return bounded and not (self.lost or self.doubled or self.early or self.missed)

    def table(self) -> Iterator[str]:
        for name, at in self.struck.items():
            yield f"{at:7.1f} s  {name}"
        for name in self.missed:
            yield f"      -    {name}: never struck"
        told = ", ".join(f"{number} {what}" for what, number in sorted(self.events.items()))
        yield f"events: {told}; sweeps: {self.sweeps}; mails asked to come later: {self.refused}"
        if self.gave_up:
            yield "the time was over: what is lost below may only have been late (--seconds)"
        yield f"worker {WORKER}, {self.seconds:.0f} s, load average {os.getloadavg()[0]:.1f}"

    def verdict(self) -> str:
        parts = [
            f"{self.uploads} uploads",
            f"recognitions committed {self.committed} of {self.contents} contents",
            f"started {self.started} <= {self.contents} + {self.kills} kills",
            f"mails {self.mails} ({self.delays} of them say that it takes longer)",
            f"lost {self.lost}",
            f"doubled {self.doubled} (repeated after a kill with the same Message-ID: {self.repeated})",
            f"pictures deleted early {self.early}",
        ]
        return f"{'good' if self.is_good else 'BAD'}: {', '.join(parts)}"


class Suite:
    """Uploads, their events, and faults, on one stack."""

    def __init__(self, stack: Stack, uploads: int, seed: int) -> None:
        self._stack = stack
        self._random = random.Random(seed)  # noqa: S311
        contents = uploads - uploads // 3
        self._contents = [picture(f"letter {seed}\nnumber {number}") for number in range(contents)]
        order = [*range(contents), *self._random.sample(range(contents), uploads - contents)]
        self._random.shuffle(order)
        self._order = order
        self._puts: dict[str, Put] = {}
        self._due: list[tuple[float, Put]] = []
        self._sweep: subprocess.Popen[bytes] | None = None
        self._next_sweep = 0.0
        self._repairs: list[Repair] = []
        self._result = Result(uploads, contents)
        self._kill_at_mail: bool | None = None
        """None: not wanted yet; False: done."""
        stack.machine.slow_down_tesseract(SLOWNESS)
        stack.mailbox.on_mail, stack.mailbox.knows_senders = self._look_at_picture, True

    def run(self, faults: list[Fault], seconds: float) -> Result:
        """Upload, and go on until all is answered or the time is over."""
        begun, left = time.monotonic(), list(faults)
        self._next_sweep = begun + 2 * SWEEP_EVERY
        names = iter(enumerate(self._order))
        while time.monotonic() - begun < seconds and (left or self._repairs or not self._is_done()):
            for number, content in [each for each in [next(names, None)] if each]:
                self._upload(f"upload-{number}", self._contents[content])
            self._deliver()
            self._keep_sweeping()
            self._repair()
            if left and not self._repairs and left[0].when() and left[0].strike():
                self._result.struck[left.pop(0).name] = time.monotonic() - begun
            time.sleep(0.1)
        self._result.missed = [fault.name for fault in left]
        self._result.seconds = time.monotonic() - begun
        self._result.gave_up = self._result.seconds >= seconds
        return self._count()

    # what happens to pictures

    def _upload(self, name: str, content: bytes) -> None:
        """Put a picture, and decide how often and when its event comes."""
        put = self._stack.put(name, content)
        self._puts[put.to] = put
        fate = len(self._puts) % 6
        if fate == 1:
            self._result.events["dropped"] += 1
            return
        late = LATE_SECONDS if fate == 0 else 0.0
        self._result.events["late"] += bool(late)
        for _ in range(self._random.randint(1, 3)):
            self._due.append((time.monotonic() + late + self._random.uniform(0, 3), put))

    def _deliver(self) -> None:
        """Tell the receiver what is due, in the order that chance has given."""
        for each in [each for each in self._due if each[0] <= time.monotonic()]:
            self._due.remove(each)
            self._result.events["delivered" if self._stack.deliver(each[1]) else "not taken"] += 1

    def _repair(self) -> None:
        for each in [each for each in self._repairs if each.when()]:
            each.do()
            self._repairs.remove(each)

    def _keep_sweeping(self) -> None:
        is_running = self._sweep is not None and self._sweep.poll() is None
        if time.monotonic() >= self._next_sweep and not is_running:
            self._sweep = self._stack.start_sweep()
            self._next_sweep = time.monotonic() + SWEEP_EVERY
            self._result.sweeps += 1

    def _is_done(self) -> bool:
        all_put, answered = len(self._puts) == len(self._order), set(self._stack.mailbox.moments())
        return all_put and answered >= set(self._puts) and not self._stack.keys("input/")

    def _look_at_picture(self, mail: Mail) -> None:
        """When an answer goes out, its picture must still stand, and the counts must already."""
        if not mail.is_answer:
            return
        put = self._puts[mail.to]
        counts = put.key.replace("input/", "output/word_counts/") + ".json"
        self._result.early += put.key not in self._stack.keys(put.key) or counts not in self._stack.keys(counts)
        if self._kill_at_mail and mail.sender:
            self._kill_at_mail = False
            self._kill(mail.sender)

    # what is done to the stack

    def kill_of_a_run(self, name: str, when: Callable[[], int]) -> Fault:
        """Kill the oldest run as soon as there is more of something than when this fault's turn came."""
        before: list[int] = []

        def has_grown() -> bool:
            now = when()
            before.append(now)
            return now > before[0]

        def strike() -> bool:
            pids = self._stack.run_pids()
            if pids:
                self._kill(pids[0])
            return bool(pids)

        return Fault(f"kill -9 of a run, {name}", has_grown, strike)

    def kill_of_a_run_as_its_mail_is_accepted(self) -> Fault:
        """Between the server's acceptance and the marker."""

        def has_happened() -> bool:
            self._kill_at_mail = True if self._kill_at_mail is None else self._kill_at_mail
            return self._kill_at_mail is False

        return Fault("kill -9 of a run, its mail being accepted", has_happened, lambda: True)

    def kill_of(self, name: str, kill: Callable[[], None], start: Callable[[], None], after: float) -> Fault:
        """Kill a server, which is started again `after` seconds."""

        def strike() -> bool:
            kill()
            end = time.monotonic() + after
            self._repairs.append(Repair(lambda: time.monotonic() >= end, start))
            return True

        return Fault(f"kill -9 of the {name}", lambda: True, strike)

    def mail_away(self) -> Fault:
        """The mail server asks to come again later, until it has had to do so a few times."""
        mailbox = self._stack.mailbox

        def come_back() -> None:
            mailbox.away = False

        def strike() -> bool:
            mailbox.away, enough = True, mailbox.refused + REFUSALS
            self._repairs.append(Repair(lambda: mailbox.refused >= enough, come_back))
            return True

        return Fault(f"451 by the mail server, {REFUSALS} times", lambda: True, strike)

    def _kill(self, pid: int) -> None:
        self._result.kills += 1
        kill_run(pid)

    def _count(self) -> Result:
        result, mails = self._result, list(self._stack.mailbox.mails)
        identities = {mail.message_id for mail in mails}
        result.mails, result.refused = len(mails), self._stack.mailbox.refused
        result.delays = sum(not mail.is_answer for mail in mails)
        result.committed, result.started = len(self._stack.recognitions()), self._stack.machine.recognitions()
        standing, answered = set(self._stack.keys("input/")), self._stack.mailbox.moments()
        done = [put for put in self._puts.values() if put.to in answered and put.key not in standing]
        result.lost = len(self._order) - len(done)
        result.repeated = len(mails) - len(identities)
        wanted = {(mail.to, mail.is_answer) for mail in mails}
        result.doubled = len(identities) - len(wanted) + max(0, result.repeated - result.kills)
        if self._sweep is not None:
            self._sweep.wait(60)
        return result


def picture(text: str) -> bytes:
    """A small picture, as PNG."""
    image, file = Image.new("L", (500, 160), 255), BytesIO()
    ImageDraw.Draw(image).multiline_text((20, 20), text, font=ImageFont.load_default(40), fill=0, spacing=12)
    image.save(file, "PNG", dpi=(200, 200))
    return file.getvalue()


def all_faults(suite: Suite, stack: Stack) -> list[Fault]:
    """One after the other, each as soon as it can strike."""
    outputs = partial(_number_of, stack, "output/word_counts/")
    return [
        suite.kill_of_a_run("recognising", stack.machine.recognitions),
        suite.kill_of("receiver", partial(stack.kill, "receiver"), stack.start_receiver, 2.0),
        suite.kill_of_a_run("a recognition being committed", lambda: len(stack.recognitions())),
        suite.mail_away(),
        suite.kill_of_a_run("its outputs being published", outputs),
        suite.kill_of("worker", partial(stack.kill, "worker"), stack.start_worker, 2.0),
        suite.kill_of_a_run_as_its_mail_is_accepted(),
        suite.kill_of("Prefect server", stack.kill_prefect, stack.start_prefect, 2.0),
    ]


def _number_of(stack: Stack, prefix: str) -> int:
    return len(stack.keys(prefix))
