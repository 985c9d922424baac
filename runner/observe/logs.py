"""Log lines for the command line. The library itself configures no logging; only commands call this."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import attrs

from runner.clock import SystemClock
from runner.observe.observers import TaskIdentity
from runner.observe.outlet import Outlet

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "warning": logging.WARNING}
"""N8N_RUNNERS_LAUNCHER_LOG_LEVEL as the standard library knows it; what is not here is an error."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What breaks lines, steers terminals, or has a line shown in another order than it is written in."""

LINE_LIMIT = 4000
"""How much of a message is logged, in characters: tasks can print megabytes."""

COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31;1"}
"""How the levels look on a terminal, as parameters of the escape sequence."""


def message_of(record: logging.LogRecord) -> str:
    """The message of a record, if need be cut."""
    return _shortened(record.getMessage())


def _shortened(message: str) -> str:
    omitted = len(message) - LINE_LIMIT
    return message[:LINE_LIMIT] + (f"… ({omitted} more characters)" if omitted > 0 else "")


def task_of(record: logging.LogRecord) -> TaskIdentity | None:
    """The task that a record is about."""
    task = getattr(record, "task", None)
    return task if isinstance(task, TaskIdentity) else None


def known_of(task: TaskIdentity) -> Iterator[tuple[str, str]]:
    """What is known about a task."""
    return ((name, value) for name, value in attrs.asdict(task).items() if value != "unknown")


def harmless(text: str) -> str:
    """A text as one line that a terminal only shows."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def _ids_of(record: logging.LogRecord) -> str:
    """The ids of the task that a record is about, if it is about one, as the end of a line."""
    task = task_of(record)
    if task is None:
        return ""
    ids = [f"{name.removesuffix('_id')}={value}" for name, value in known_of(task) if name.endswith("_id")]
    return f" [{' '.join(ids)}]"


class LineFormatter(logging.Formatter):
    """One record, one line: what brokers, tasks and users send can neither break a line nor forge or flood one.

    A line about a task ends with its ids, unless its words have them.
    """

    def __init__(self, layout: str = "%(asctime)s\t%(levelname)s\t%(message)s", times: str | None = None) -> None:
        """The form of n8n's own runner, unless another is given: time, level, message."""
        super().__init__(layout, times)
        self._layout = layout
        self._second, self._told = -1, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The time, as the standard library has it, which takes its time: so what is the same in a second is kept."""
        second = int(record.created)
        if second != self._second:
            self._told = super().formatTime(record, datefmt or self.default_time_format)
            self._second = second
        return self._told if datefmt else f"{self._told},{int(record.msecs):03}"

    def format(self, record: logging.LogRecord) -> str:
        """The line, as the standard library makes it, in fewer steps where there is nothing below it."""
        if record.exc_info or record.stack_info:
            return super().format(record)
        record.message, record.asctime = record.getMessage(), self.formatTime(record, self.datefmt)
        return self.formatMessage(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """The line: a message that is not too long, with its control characters escaped."""
        message = _shortened(record.message)
        if not getattr(record, "names_task", False):
            message += _ids_of(record)
        return self._layout % {"asctime": record.asctime, "levelname": record.levelname, "message": harmless(message)}


class TerminalFormatter(LineFormatter):
    """The same for a person at a terminal: the time of day, and what is wrong in colour."""

    def __init__(self, *, has_colours: bool) -> None:
        """A formatter with or without colours."""
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._has_colours = has_colours

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line."""
        line = super().formatMessage(record)
        colour = COLOURS.get(record.levelname) if self._has_colours else None
        return line if colour is None else f"\x1b[{colour}m{line}\x1b[0m"


class JsonFormatter(logging.Formatter):
    """One record, one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        task = task_of(record)
        if task is not None:
            told |= known_of(task)
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


_LEFT_OUT = {
    **dict.fromkeys(("pathname", "filename", "module"), "(unknown file)"),
    **dict.fromkeys(("funcName", "exc_text", "stack_info"), None),
    **dict.fromkeys(("thread", "threadName", "process", "processName", "taskName"), None),
    "lineno": 0,
    "relativeCreated": 0.0,
}
"""What records are expected to have, and no form of the log has: in place of the truth, which takes its time."""

_clock = SystemClock()


class _Record(logging.LogRecord):
    """A record without the place in the code, the thread and the process.

    To find them takes most of the time of a line, and each task logs two.
    """

    def __init__(
        self, name: str, level: int, _path: str, _line: int, msg: object, args: Any, exc_info: Any, *_: Any, **__: Any
    ) -> None:
        vars(self).update(_LEFT_OUT)
        self.name = name
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.msg = msg
        # one mapping is what names in the message are looked up in
        is_mapping = args and len(args) == 1 and isinstance(args[0], Mapping) and args[0]
        self.args = args[0] if is_mapping else args
        self.exc_info = exc_info
        self.created = _clock.wall()
        self.msecs = self.created % 1 * 1000


class _OutletHandler(logging.Handler):
    """Writes lines to an outlet, which locks for itself and has nothing to flush."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, from whatever thread it comes."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self._outlet.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - a message that cannot be formatted, which is told as it is elsewhere
            self.handleError(record)


def configure_logging(
    level: str, stream: TextIO | io.TextIOBase | None = None, *, form: str = "text", has_colours: bool = True
) -> None:
    """Log to a stream, from a level on.

    Parameters:
        stream: standard output unless given.
        form: `text` has the form of n8n's own runner, or one for people where the stream is a terminal; `json`.
        has_colours: whether there may be colours on a terminal.
    """
    stream = stream or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a service's locale is often plain ASCII: lose no line to that
    handler = _OutletHandler(stream) if isinstance(stream, Outlet) else logging.StreamHandler(stream)
    handler.setFormatter(_formatter(form, has_colours, is_terminal=stream.isatty()))
    logging.basicConfig(level=LEVELS.get(level, logging.ERROR), handlers=[handler], force=True)
    logging.setLogRecordFactory(_Record)
    logging._srcfile = None  # noqa: SLF001 - the documented way not to have the place in the code looked for
    logging.getLogger("transitions").setLevel(logging.WARNING)  # the engine's own steps: the driver tells them better


def _formatter(form: str, has_colours: bool, *, is_terminal: bool) -> logging.Formatter:
    if form == "json":
        return JsonFormatter()
    return TerminalFormatter(has_colours=has_colours) if is_terminal else LineFormatter()
