"""Runs each task in a fresh process of its own, which is killed and reaped before the task counts as ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Raw

from runner.config import TaskRunnerConfig, variables
from runner.errors import TaskFailed
from runner.execution.executor import TaskRequest
from runner.execution.process import wire
from runner.protocol.codec import MalformedMessage, check_json, payload_limit

WORKER = Path(__file__).with_name("worker.py")

STDERR_KEPT = 8192
"""How much of what a process wrote to its standard output and error is kept for explanations, in bytes."""

EXIT_TIMEOUT = 0.5
"""How long a process that has hung up without an answer may take to exit, in seconds."""

REAP_POLL = 0.005
"""How often a killed process is looked after where the kernel cannot tell of its end, in seconds."""


class ProcessExecutor:
    """A process for each task: simple, and each as slow as the start of an interpreter.

    The process has a session of its own, none of the runner's variables, none of its descriptors but one end of a
    socket, and nothing is confined beyond that.
    """

    def __init__(self, config: TaskRunnerConfig, environment: Mapping[str, str] = os.environ) -> None:
        """An executor for tasks with the limits of `config`; `environment` is the runner's own."""
        self._print_limit = config.max_prints
        self._payload_limit = payload_limit(config.max_payload_size)
        self._environment = child_environment(config, environment)

    async def start(self) -> None:
        """There is nothing to prepare."""

    async def close(self) -> None:
        """There is nothing left."""

    async def execute(self, request: TaskRequest) -> Raw:
        """Run one task in a new process."""
        async with _Child(self._environment, self._print_limit) as child:
            await child.send(wire.TASK, request.settings)
            while True:
                kind, payload = await child.receive(self._payload_limit)
                if kind == wire.PRINT:
                    request.print(_checked(payload, self._payload_limit))
                elif kind == wire.RESULT:
                    return _checked(payload, self._payload_limit)
                else:
                    raise _failure(payload)


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


def _checked(payload: bytes, limit: int) -> Raw:
    """A child's JSON, which may be spliced into a message."""
    try:
        return check_json(payload, limit)
    except MalformedMessage as malformed:
        raise TaskFailed(f"The task's process sent something that cannot be sent on: {malformed}") from malformed


def _failure(payload: bytes) -> TaskFailed:
    """The failure that a child reports."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, str | int])
    except (ValueError, RecursionError):
        fields = {}
    details = {name: fields[name] for name in ("lineNumber", "itemIndex") if isinstance(fields.get(name), int)}
    description = fields.get("description")
    return TaskFailed(
        str(fields.get("message", "Unknown error")),
        str(description) if description is not None else None,
        **details,
    )


class _Tail(asyncio.Protocol):
    """Keeps the end of what a process writes to its standard output and error."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def data_received(self, data: bytes) -> None:
        self._kept += data
        del self._kept[:-STDERR_KEPT]

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()


class _Child:
    """One process, from its start to its reaping; used as a context manager, which leaves nothing behind."""

    def __init__(self, environment: Mapping[str, str], print_limit: int) -> None:
        self._environment = environment
        self._print_limit = print_limit
        self._tail = _Tail()
        self._transports: list[asyncio.BaseTransport] = []

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        output, their_output = socket.socketpair()
        with theirs, their_output:
            try:
                self._process = self._spawn(theirs, their_output)
            except OSError as error:
                ours.close()
                output.close()
                raise TaskFailed(f"No process could be started for the task: {error.strerror}") from error
        try:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            self._transports.append(self._writer.transport)
            tail, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: self._tail, output)
            self._transports.append(tail)
        except BaseException:
            await self.__aexit__()
            ours.close()
            output.close()
            raise
        return self

    def _spawn(self, theirs: socket.socket, output: socket.socket) -> subprocess.Popen[bytes]:
        descriptor = theirs.fileno()
        command = [sys.executable, "-I", "-X", "utf8", str(WORKER), str(descriptor), str(self._print_limit)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output.fileno(),
            stderr=output.fileno(),
            pass_fds=(descriptor,),
            env=dict(self._environment),
            cwd="/",
            start_new_session=True,
        )

    async def __aexit__(self, *_: object) -> None:
        """Kill the process and all that it started in its session, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for transport in self._transports:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        await self._gone()

    async def send(self, kind: int, payload: Raw) -> None:
        """Send one frame. A child that is gone is heard of when something is received from it."""
        with contextlib.suppress(ConnectionError):
            for piece in (wire.HEADER.pack(kind, len(memoryview(payload))), memoryview(payload)):
                self._writer.write(piece)
            await self._writer.drain()

    async def receive(self, limit: int) -> tuple[int, bytes]:
        """The next frame of the child.

        Raises:
            TaskFailed: the child is gone, or speaks nonsense.
        """
        try:
            kind, length = wire.HEADER.unpack(await self._reader.readexactly(wire.HEADER.size))
            if kind not in {wire.PRINT, wire.RESULT, wire.ERROR}:
                raise TaskFailed("The task's process does not keep to the protocol")
            if length > limit:
                raise TaskFailed(
                    f"The result is too large: it has {length} bytes, and at most {limit} can be sent to n8n",
                    "N8N_RUNNERS_MAX_PAYLOAD says how large a message may be; n8n itself takes at most 512 MiB.",
                )
            return kind, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._explain_end() from None

    async def _explain_end(self) -> TaskFailed:
        """Why there is no result: how the process ended, and the last that it wrote."""
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self._gone()
            code = self._process.returncode
        except TimeoutError:
            code = 0  # it closed its socket and lives on: to be killed by whoever leaves the context
        if code == -signal.SIGKILL:
            message = "Process was forcefully killed (SIGKILL)"
        elif code == 0:
            message = "Failed to read result from child process"
        else:
            message = f"Task subprocess exited with code {code}"
        return TaskFailed(message, self._tail.text() or None)

    async def _gone(self) -> None:
        """Wait until the process has ended, and reap it. When this is cancelled, the process is killed first."""
        interrupted: asyncio.CancelledError | None = None
        while self._process.poll() is None:
            try:
                await self._some_change()
            except asyncio.CancelledError as error:
                interrupted = error
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        if interrupted is not None:
            raise interrupted

    async def _some_change(self) -> None:
        """Wait for the end of the process, as the kernel tells it, or for a moment."""
        if not hasattr(os, "pidfd_open"):
            await asyncio.sleep(REAP_POLL)
            return
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(self._process.pid)
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
