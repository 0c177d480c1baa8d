"""What may go wrong, one thing after the other, each as soon as it can strike."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from tests.faults.watch import STEPS, StoreTrouble, Watch
from tests.support.mailbox import Trouble
from tests.support.proxy import Fate
from tests.support.servers import Server
from tests.support.stack import WORKER, Stack

REFUSED_MAILS = 3
FAILED_REQUESTS = 40
AWAY_SECONDS = 2.0


@dataclass
class Repair:
    """What ends a fault that lasts, and when; meanwhile no other fault strikes."""

    when: Callable[[], bool]
    do: Callable[[], None]


@dataclass
class Fault:
    """Something that is done once, as soon as `when` holds."""

    name: str
    when: Callable[[], bool]
    strike: Callable[[], Repair | None]


@dataclass
class Faults:
    """All that can be done to a stack, and to what it sees of its store."""

    stack: Stack
    watch: Watch
    trouble: StoreTrouble

    def all(self, spark: Server) -> list[Fault]:
        stack = self.stack
        return list(
            _mixed(
                [self.kill_of_a_run_recognising(), *map(self.kill_of_a_run_after, STEPS)],
                [
                    self.kill_of("receiver", partial(stack.kill, "receiver"), stack.start_receiver),
                    self.mail_in_trouble("451"),
                    self.store_in_trouble("503", HTTPStatus.SERVICE_UNAVAILABLE),
                    *self._kill_of_the_forkserver(),
                    self.kill_of("worker", partial(stack.kill, "worker"), stack.start_worker),
                    self.mail_in_trouble("reset"),
                    self.kill_of("Spark Connect server", spark.kill, spark.start),
                    self.store_in_trouble("resets, some of them when the store has done it", Fate.RESET, Fate.LOST),
                    self.kill_of("Prefect server", stack.kill_prefect, stack.start_prefect),
                    self.mail_in_trouble("554"),
                    *self._kill_of_the_gateway(),
                ],
            )
        )

    def kill_of_a_run_recognising(self) -> Fault:
        """Kill the oldest run when a recognition has begun since this fault's turn came."""
        before: list[int] = []

        def has_begun() -> bool:
            before.append(self.stack.machine.recognitions())
            return before[-1] > before[0] and bool(self.stack.run_pids())

        return Fault("kill -9 of a run, recognising", has_begun, lambda: self.watch.kill(self.stack.run_pids()[0]))

    def kill_of_a_run_after(self, step: str) -> Fault:
        return Fault(f"kill -9 of a run, {step}", lambda: self.watch.has_killed_after(step), lambda: None)

    def kill_of(self, name: str, kill: Callable[[], None], start: Callable[[], None]) -> Fault:
        """Kill a server while runs are at work; it is started again a little later."""

        def strike() -> Repair:
            kill()
            end = time.monotonic() + AWAY_SECONDS
            return Repair(lambda: time.monotonic() >= end, start)

        return Fault(f"kill -9 of the {name}", lambda: bool(self.stack.run_pids()), strike)

    def _kill_of_the_gateway(self) -> Iterator[Fault]:
        """Where one can be killed: moto keeps nothing."""
        gateway = self.stack.s3.gateway
        if gateway is not None:
            yield self.kill_of("store", gateway.kill, gateway.start)

    def _kill_of_the_forkserver(self) -> Iterator[Fault]:
        """Its runs go on, or end and are found."""

        def is_at_work() -> bool:
            return bool(self.stack.forkserver_pids() and self.stack.run_pids())

        def strike() -> None:
            for pid in self.stack.forkserver_pids():
                os.kill(pid, signal.SIGKILL)

        if WORKER != "process":
            yield Fault("kill -9 of the forkserver", is_at_work, strike)

    def mail_in_trouble(self, trouble: Trouble) -> Fault:
        """Until the mail server has refused a few mails."""
        mailbox = self.stack.mailbox

        def come_back() -> None:
            mailbox.trouble = ""

        def strike() -> Repair:
            mailbox.trouble, enough = trouble, mailbox.refused + REFUSED_MAILS
            return Repair(lambda: mailbox.refused >= enough, come_back)

        return Fault(f"{trouble} by the mail server, {REFUSED_MAILS} times", lambda: True, strike)

    def store_in_trouble(self, name: str, *fates: Fate | HTTPStatus) -> Fault:
        """Until a number of requests to the store have failed."""

        def come_back() -> None:
            self.trouble.fates = ()

        def strike() -> Repair:
            self.trouble.fates, enough = fates, self.trouble.failed + FAILED_REQUESTS
            return Repair(lambda: self.trouble.failed >= enough, come_back)

        return Fault(f"{name} by the store, {FAILED_REQUESTS} times", lambda: True, strike)


def _mixed(some: list[Fault], others: list[Fault]) -> Iterator[Fault]:
    """In turns, as long as there are both."""
    while some or others:
        for faults in (some, others):
            if faults:
                yield faults.pop(0)
