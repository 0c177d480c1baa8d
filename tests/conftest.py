"""What all tests share: the S3 servers, and the processes that run the tests side by side (tests/support/)."""

from __future__ import annotations

import signal

from tests.support.servers import ceph, moto, s3, s3_environment
from tests.support.side_by_side import (
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

__all__ = [
    "ceph",
    "moto",
    "pytest_collection_modifyitems",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_make_scheduler",
    "s3",
    "s3_environment",
]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background; what tests start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
