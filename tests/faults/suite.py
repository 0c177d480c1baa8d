"""What may go wrong goes wrong while pictures come in; in the end each has its answer, once."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tests.faults.faults import Fault, Faults, Repair
from tests.faults.result import Result
from tests.faults.watch import StoreTrouble, Watch
from tests.support.mailbox import Mail
from tests.support.proxy import proxied
from tests.support.servers import S3Server
from tests.support.stack import Put, Stack, new_stack

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
SWEEP_EVERY = 5.0
DURING_FAULTS = 0.7
"""The share of the pictures that come in while faults are still to strike."""
PATIENCE = 3.0
"""Seconds after which a fault that finds nothing to strike gets a further picture."""


class Suite:
    """Uploads, their events, and faults, on one stack."""

    def __init__(self, stack: Stack, watch: Watch, trouble: StoreTrouble, uploads: int, seed: int) -> None:
        self._stack = stack
        self._watch = watch
        self._trouble = trouble
        self._random = random.Random(seed)  # noqa: S311
        self._result = Result(uploads, uploads - uploads // 3)
        contents = [picture(f"letter {seed}\nnumber {number}") for number in range(self._result.contents)]
        again = self._random.sample(contents, uploads // 3)
        self._to_come = self._random.sample([*contents, *again], uploads)
        self._last_upload = 0.0
        self._puts: dict[str, Put] = {}
        self._due: list[tuple[float, Put]] = []
        self._sweep: subprocess.Popen[bytes] | None = None
        self._next_sweep = 0.0
        self._repair: Repair | None = None
        self.faults = Faults(stack, watch, trouble)
        stack.machine.slow_down_tesseract(SLOWNESS)
        stack.mailbox.on_mail = self._look_at_mail

    def run(self, faults: Sequence[Fault], seconds: float) -> Result:
        """Upload, and go on until all is answered or the time is over."""
        begun, left = time.monotonic(), list(faults)
        self._next_sweep = begun + 2 * SWEEP_EVERY
        while time.monotonic() - begun < seconds and (left or self._repair or not self._is_done()):
            if self._to_come and self._repair is None and self._wants_more(len(faults), len(left)):
                self._upload(self._to_come.pop())
            self._deliver()
            self._keep_sweeping()
            if self._repair is not None and self._repair.when():
                self._repair.do()
                self._repair = None
            if left and self._repair is None and left[0].when():
                self._repair = left[0].strike()
                self._result.struck[left.pop(0).name] = time.monotonic() - begun
            time.sleep(0.1)
        self._result.missed = [fault.name for fault in left]
        self._result.seconds = time.monotonic() - begun
        self._result.gave_up = self._result.seconds >= seconds
        return self._count()

    # what happens to pictures

    def _wants_more(self, faults: int, left: int) -> bool:
        """Whether it is time for another picture: each fault needs some to strike at."""
        if not left:
            return True
        wanted = DURING_FAULTS * self._result.uploads * (faults - left + 1) / faults
        return len(self._puts) < wanted or time.monotonic() - self._last_upload > PATIENCE

    def _upload(self, content: bytes) -> None:
        """Put a picture, and decide how often and when its event comes."""
        put = self._stack.put(f"upload-{len(self._puts)}", content)
        self._puts[put.to], self._last_upload = put, time.monotonic()
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

    def _keep_sweeping(self) -> None:
        is_running = self._sweep is not None and self._sweep.poll() is None
        if time.monotonic() >= self._next_sweep and not is_running:
            self._sweep = self._stack.start_sweep()
            self._next_sweep = time.monotonic() + SWEEP_EVERY
            self._result.sweeps += 1

    def _is_done(self) -> bool:
        answered = set(self._stack.mailbox.moments())
        return not self._to_come and answered >= set(self._puts) and not self._stack.keys("input/")

    def _look_at_mail(self, mail: Mail) -> None:
        """When an answer goes out, its picture must still stand, and the counts must already."""
        if not mail.is_answer:
            return
        put = self._puts[mail.to]
        counts = put.key.replace("input/", "output/word_counts/") + ".json"
        self._result.early += put.key not in self._stack.keys(put.key) or counts not in self._stack.keys(counts)
        self._watch.see_mail(mail)

    def _count(self) -> Result:
        result, mails = self._result, list(self._stack.mailbox.mails)
        identities = {mail.message_id for mail in mails}
        result.kills, result.failed = self._watch.kills, self._trouble.failed
        result.mails, result.refused = len(mails), self._stack.mailbox.refused
        result.delays = sum(not mail.is_answer for mail in mails)
        result.committed, result.started = len(self._stack.recognitions()), self._stack.machine.recognitions()
        standing, answered = set(self._stack.keys("input/")), self._stack.mailbox.moments()
        done = [put for put in self._puts.values() if put.to in answered and put.key not in standing]
        result.lost = result.uploads - len(done)
        result.repeated = len(mails) - len(identities)
        wanted = {(mail.to, mail.is_answer) for mail in mails}
        result.doubled = len(identities) - len(wanted) + max(0, result.repeated - result.kills)
        if self._sweep is not None:
            self._sweep.wait(60)
        return result


@contextmanager
def new_suite(folder: Path, s3: S3Server, spark: str, uploads: int, seed: int) -> Iterator[Suite]:
    """A suite on a stack of its own, whose way to the store is watched; `spark` is a Spark Connect server's address."""
    watch, trouble = Watch(), StoreTrouble(seed)
    with (
        proxied(s3.endpoint, trouble.meddle, watch.see_request) as endpoint,
        new_stack(folder, s3, spark, **SETTINGS, s3_endpoint=endpoint) as stack,
    ):
        yield Suite(stack, watch, trouble, uploads, seed)


def picture(text: str) -> bytes:
    """A small picture, as PNG."""
    image, file = Image.new("L", (500, 160), 255), BytesIO()
    ImageDraw.Draw(image).multiline_text((20, 20), text, font=ImageFont.load_default(40), fill=0, spacing=12)
    image.save(file, "PNG", dpi=(200, 200))
    return file.getvalue()
