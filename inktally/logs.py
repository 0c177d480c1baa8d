"""Logs in which a key, or any other text of strangers, neither begins a line nor moves the cursor nor turns text."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from inktally.text import printable


def escape_records() -> None:
    """From now on, in all records that this process logs, Prefect's and those of libraries among them."""
    made = logging.getLogRecordFactory()
    if not isinstance(made, _Escaping):
        logging.setLogRecordFactory(_Escaping(made))


@dataclass(frozen=True)
class _Escaping:
    """Makes records whose text is ready, so that whatever handles them gets the escaped one."""

    make: Callable[..., logging.LogRecord]

    def __call__(self, *arguments: object, **named: object) -> logging.LogRecord:
        record = self.make(*arguments, **named)
        with suppress(TypeError, ValueError, KeyError):  # a message that does not fit its values; logging says so
            record.msg, record.args = printable(record.getMessage()), None
        if record.exc_info and record.exc_info[0] is not None:
            told = logging.Formatter().formatException(record.exc_info)
            record.exc_text = "\n".join(f"  {printable(line)}" for line in told.splitlines())
        return record
