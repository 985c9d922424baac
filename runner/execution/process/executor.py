"""Runs each task in a fresh process of its own, which is killed and reaped before the task counts as ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import attrs
import msgspec
from msgspec import Meta, Raw

from runner.config import TaskRunnerConfig, variables
from runner.errors import TaskFailed
from runner.execution.executor import TaskRequest
from runner.execution.process.child import Child
from runner.execution.sandbox import wire
from runner.protocol.codec import MalformedMessage, check_json, payload_limit

Index = Annotated[int, Meta(ge=0, lt=2**53)]


class ProcessExecutor:
    """A process for each task: simple, and each as slow as the start of an interpreter.

    The process has a session of its own, none of the runner's variables, none of its descriptors but one end of a
    socket and of a pipe, and nothing is confined beyond that.
    """

    def __init__(self, config: TaskRunnerConfig, environment: Mapping[str, str] = os.environ) -> None:
        """An executor for tasks with the limits of `config`; `environment` is the runner's own."""
        self._print_limit = config.max_prints
        self._payload_limit = payload_limit(config.max_payload_size)
        self._environment = child_environment(config, environment)
        self._limits = {
            wire.PRINT: wire.TEXTS_LIMIT,
            wire.ERROR: wire.TEXTS_LIMIT,
            wire.RESULT: self._payload_limit,
        }

    async def start(self) -> None:
        """There is nothing to prepare."""

    async def close(self) -> None:
        """There is nothing left."""

    async def execute(self, request: TaskRequest) -> Raw:
        """Run one task in a new process."""
        async with Child(self._environment, self._print_limit) as child:
            await child.send(wire.TASK, request.settings)
            return await self._hear(child, request)

    async def _hear(self, child: Child, request: TaskRequest) -> Raw:
        """Take what the child says, until it says how the task has ended."""
        prints_left = self._print_limit + 1  # and the line about those that were left out
        while True:
            kind, payload = await child.receive(self._limits)
            if kind == wire.RESULT:
                return _result(payload, self._payload_limit)
            if kind == wire.ERROR:
                raise _failure(payload, child)
            if not prints_left:
                raise TaskFailed("The task's process prints more than it may")
            prints_left -= 1
            request.print(_print(payload))


def child_environment(config: TaskRunnerConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a task: the time zone and, if allowed, all that is not the runner's own."""
    passed = {} if config.block_env_access else dict(environment)
    for _, variable in variables():
        for name in (variable.name, variable.name + "_FILE"):
            passed.pop(name, None)
    passed = {name: value for name, value in passed.items() if not name.startswith("N8N_RUNNERS_")}
    if config.timezone:
        passed["TZ"] = config.timezone
    return passed


def _result(payload: bytearray, limit: int) -> Raw:
    """A child's result, which may be spliced into a message."""
    try:
        return check_json(payload, limit)
    except MalformedMessage as malformed:
        if isinstance(malformed.__context__, RecursionError):
            raise TaskFailed("The result is nested too deeply", "It has more levels than can be sent to n8n.") from None
        raise TaskFailed(f"The task's process sent a result that cannot be sent on: {malformed}") from malformed


def _print(payload: bytearray) -> Raw:
    """The texts of a child's print, which may be spliced into a message."""
    try:
        return Raw(msgspec.json.encode(msgspec.json.decode(payload, type=list[str])))
    except ValueError as error:
        raise TaskFailed(f"The task's process sent a print that cannot be sent on: {error}") from error


@attrs.frozen
class _Report:
    """What a child says of a failure."""

    message: str
    description: str | None = None
    trace: str | None = None
    line: Index | None = None
    item_index: Index | None = None


def _failure(payload: bytearray, child: Child) -> TaskFailed:
    """The failure that a child reports. What it wrote to its standard error stands in for a missing description."""
    try:
        report = msgspec.json.decode(payload, type=_Report)
    except ValueError as error:
        return TaskFailed(f"The task's process sent an error that cannot be sent on: {error}")
    lines = [text for text in (report.description or child.output(), report.trace) if text]
    details = {"lineNumber": report.line, "itemIndex": report.item_index}
    return TaskFailed(
        report.message,
        "\n".join(lines) or None,
        **{name: value for name, value in details.items() if value is not None},
    )
