"""What the fault suite counts, and its verdict."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.stack import WORKER


@dataclass
class Result:
    """What was counted in the end."""

    uploads: int
    contents: int
    committed: int = 0
    started: int = 0
    kills: int = 0
    """Of runs."""
    mails: int = 0
    delays: int = 0
    """Mails that say that the answer takes longer: what a run that fails tells, once for each upload."""
    lost: int = 0
    doubled: int = 0
    repeated: int = 0
    early: int = 0
    refused: int = 0
    failed: int = 0
    """Requests to the store."""
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
        yield f"events: {told}; sweeps: {self.sweeps}"
        yield f"mails refused: {self.refused}; requests that failed at the store: {self.failed}"
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
