"""What all tests share: servers, and the processes that run the tests side by side (tests/support/)."""

from __future__ import annotations

import os
import signal

from tests.support.machine import PREFECT_SIGN_IN

os.environ["PREFECT_API_AUTH_STRING"] = PREFECT_SIGN_IN  # for clients in this process

pytest_plugins = ["tests.support.fixtures", "tests.support.side_by_side"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background; what tests start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
