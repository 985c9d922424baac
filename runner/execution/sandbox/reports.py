"""What a task's process says of a failure, and what its end says when it said nothing."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import attrs
import msgspec
from msgspec import Meta, Raw

from runner.errors import TaskFailed
from runner.execution.sandbox import wire

Index = Annotated[int, Meta(ge=0, lt=2**53)]


@attrs.frozen
class _Report:
    """A failure, as the process reports it."""

    message: str
    description: str | None = None
    trace: str | None = None
    line: Index | None = None
    item_index: Index | None = None


def failure_in(payload: bytes, output: str) -> TaskFailed:
    """The failure that a process reports. What it wrote to its standard error stands in for a missing description."""
    try:
        report = msgspec.json.decode(payload, type=_Report)
    except ValueError as error:
        return TaskFailed(f"The task's process sent an error that cannot be sent on: {error}")
    lines = [text for text in (report.description or output, report.trace) if text]
    details = {"lineNumber": report.line, "itemIndex": report.item_index}
    return TaskFailed(
        report.message,
        "\n".join(lines) or None,
        **{name: value for name, value in details.items() if value is not None},
    )


def print_in(payload: bytes) -> Raw:
    """The texts of a print, which may be spliced into a message.

    Raises:
        TaskFailed: they are none.
    """
    try:
        return Raw(msgspec.json.encode(msgspec.json.decode(payload, type=list[str])))
    except ValueError as error:
        raise TaskFailed(f"The task's process sent a print that cannot be sent on: {error}") from error


def failure_of_end(status: int, output: str) -> TaskFailed:
    """Why there is no result, when the process ended with a wait status before it had answered."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        return TaskFailed(
            "Process was forcefully killed (SIGKILL)",
            output or "The operating system does this when memory runs out.",
        )
    if code == -signal.SIGXCPU:
        return TaskFailed(
            "The task took more processor time than it may",
            "N8N_RUNNERS_TASK_CPU_LIMIT (s) sets how much; unless set, it is twice the task timeout.",
        )
    if code == wire.EXIT_NOT_CONFINED:
        return TaskFailed("The task's process could not be confined, so the code was not run", output or None)
    if code == 0:
        return TaskFailed("Failed to read result from child process", output or None)
    return TaskFailed(f"Task subprocess exited with code {code}", output or None)
