"""Log lines for the command line. The library itself configures no logging; only commands call this."""

from __future__ import annotations

import io
import logging
import re
import sys
from typing import TextIO

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "warning": logging.WARNING}
"""N8N_RUNNERS_LAUNCHER_LOG_LEVEL as the standard library knows it; what is not here is an error."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


LINE_LIMIT = 4000
"""How much of a message is logged, in characters: tasks can print megabytes."""


class LineFormatter(logging.Formatter):
    """One record, one line: what brokers, tasks and users send can neither break a line nor forge or flood one."""

    def __init__(self) -> None:
        """The text format: time, level, message."""
        super().__init__("%(asctime)s\t%(levelname)s\t%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """The line: a message that is not too long, with its control characters escaped."""
        omitted = len(record.message) - LINE_LIMIT
        message = record.message[:LINE_LIMIT] + (f"… ({omitted} more characters)" if omitted > 0 else "")
        record.message = _CONTROL.sub(lambda match: ascii(match[0])[1:-1], message)
        return super().formatMessage(record)


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Log to `stream`, standard output unless given, from `level` on."""
    stream = stream or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a service's locale is often plain ASCII: lose no line to that
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=LEVELS.get(level, logging.ERROR), handlers=[handler], force=True)
    logging.getLogger("transitions").setLevel(logging.WARNING)  # the engine's own steps: the driver tells them better
