"""One process of a task, as the runner sees it: started, spoken with, killed and reaped."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from msgspec import Raw

from runner.errors import TaskFailed
from runner.execution.sandbox import session, wire

WORKER = Path(__file__).parents[1] / "sandbox" / "child" / "worker.py"

OUTPUT_KEPT = 8192
"""How much of what a process wrote to its standard output and error is kept for explanations, in bytes."""

CHUNK = 64 * 1024
"""How much is read at a time, in bytes."""

EXIT_TIMEOUT = 0.5
"""How long a process that has hung up without an answer may take to exit, in seconds."""

POLL_INTERVAL = 0.005
"""How often a process is looked after where the kernel does not tell of its end, in seconds."""


class _Ending:
    """The end of a process: told by the kernel, or else looked for every few milliseconds."""

    def __init__(self, process: subprocess.Popen[bytes], on_end: Callable[[], None]) -> None:
        self.is_over = False
        self._process = process
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor: int | None = None
        try:
            self._descriptor = os.pidfd_open(process.pid)
            self._loop.add_reader(self._descriptor, self._announce)
        except (AttributeError, OSError):
            self._look()

    def _look(self) -> None:
        if self._process.poll() is None:
            self._timer = self._loop.call_later(POLL_INTERVAL, self._look)
        else:
            self._announce()

    def _announce(self) -> None:
        self.is_over = True
        self.close()
        self._on_end()

    def close(self) -> None:
        """Look no further."""
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class _Output:
    """The end of what a process writes to its standard output and error."""

    def __init__(self, pipe: io.FileIO) -> None:
        self._pipe = pipe
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe, self._read)

    def _read(self) -> bool:
        """Read some of it, and say whether there was any."""
        data = self._pipe.read(CHUNK)
        if data == b"":
            self._loop.remove_reader(self._pipe)
        self._kept += data or b""
        del self._kept[:-OUTPUT_KEPT]
        return bool(data)

    def text(self) -> str:
        """What there is so far."""
        for _ in range(16):  # a pipe holds no more, unless somebody goes on filling it
            if not self._read():
                break
        return self._kept.decode("utf-8", "replace").strip()

    def close(self) -> None:
        self._loop.remove_reader(self._pipe)
        self._pipe.close()


class Child:
    """One process, from its start to its reaping; used as a context manager, which leaves nothing behind."""

    def __init__(self, environment: Mapping[str, str], print_limit: int) -> None:
        """A process that is yet to be started, with this environment and nothing else in it."""
        self._environment = dict(environment)
        self._print_limit = print_limit
        self._news = asyncio.Event()
        self._is_gone = False

    async def __aenter__(self) -> Self:
        try:
            self._start()
        except OSError as error:
            raise TaskFailed(f"No process could be started for the task: {error.strerror}") from error
        return self

    def _start(self) -> None:
        """Start the process, or leave nothing open."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            sockets = socket.socketpair()
            self._line, line = ours.enter_context(sockets[0]), theirs.enter_context(sockets[1])
            lifeline, self._lifeline = _pipe(theirs, ours)
            pipe, output = _pipe(ours, theirs)
            self._process = self._spawn(line.fileno(), lifeline.fileno(), output.fileno())
            ours.pop_all()
        self._line.setblocking(False)
        self._output = _Output(pipe)
        self._ending = _Ending(self._process, self._news.set)

    def _spawn(self, line: int, lifeline: int, output: int) -> subprocess.Popen[bytes]:
        arguments = map(str, (WORKER, line, lifeline, self._print_limit))
        return subprocess.Popen(
            [sys.executable or "python3", "-I", "-X", "utf8", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(line, lifeline),
            env=self._environment,
            cwd="/",
            start_new_session=True,
        )

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    def output(self) -> str | None:
        """The last that the process has written to its standard output and error, if anything."""
        return self._output.text() or None

    async def send(self, kind: int, payload: Raw) -> None:
        """Send one frame. A child that is gone is heard of when something is received from it."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            for piece in wire.pack(kind, memoryview(payload)):
                await loop.sock_sendall(self._line, piece)

    async def receive(self, limits: Mapping[int, int]) -> tuple[int, bytearray]:
        """The next frame of the child; `limits` has the kinds that are taken, and how long each may be.

        Raises:
            TaskFailed: the child is gone, or speaks nonsense.
        """
        kind, length = wire.HEADER.unpack(await self._read_exactly(wire.HEADER.size))
        if kind == wire.RESULT and length > limits[kind]:
            raise TaskFailed(
                f"The result is too large: it has {length} bytes, and at most {limits[kind]} can be sent to n8n",
                "N8N_RUNNERS_MAX_PAYLOAD says how large a message may be; n8n itself takes at most 512 MiB.",
            )
        if length > limits.get(kind, -1):
            raise TaskFailed("The task's process does not keep to the protocol")
        return kind, await self._read_exactly(length)

    async def _read_exactly(self, length: int) -> bytearray:
        payload = bytearray()
        while len(payload) < length:
            chunk = await self._read_some(min(length - len(payload), CHUNK))
            if not chunk:
                raise await self._explain_end()
            payload += chunk
        return payload

    async def _read_some(self, most: int) -> bytes:
        """What the child has said, at most so many bytes; nothing when it says no more."""
        await asyncio.sleep(0)  # a child that never pauses must not have the event loop to itself
        while True:
            was_over = self._ending.is_over  # asked before reading, so that its last words are not missed
            try:
                return self._line.recv(most)
            except BlockingIOError:
                if was_over:
                    return b""  # whoever still holds the other end, the task is over
            except ConnectionError:
                return b""
            await self._something_new()

    async def _something_new(self) -> None:
        """Wait until there is something to read, or the process has ended."""
        loop = asyncio.get_running_loop()
        self._news.clear()
        if self._ending.is_over:
            return
        loop.add_reader(self._line, self._news.set)
        try:
            await self._news.wait()
        finally:
            loop.remove_reader(self._line)

    async def _explain_end(self) -> TaskFailed:
        """Why there is no result: how the process ended, and the last that it wrote."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self._until_over()
        has_exited = self._ending.is_over  # or else it has hung up and lives on
        await self._kill()
        code = self._process.returncode if has_exited else 0
        if code == -signal.SIGKILL:
            killed = "Process was forcefully killed (SIGKILL)"
            return TaskFailed(killed, self.output() or "The operating system does this when memory runs out.")
        if code == 0:
            return TaskFailed("Failed to read result from child process", self.output())
        return TaskFailed(f"Task subprocess exited with code {code}", self.output())

    async def _until_over(self) -> None:
        while not self._ending.is_over:
            self._news.clear()
            await self._news.wait()

    async def _end(self) -> None:
        """Kill what there is, wait until it is gone, and let go of everything."""
        try:
            await self._kill()
        finally:
            self._ending.close()
            self._output.close()
            self._lifeline.close()
            self._line.close()

    async def _kill(self) -> None:
        """Kill the process and all that it has started, and wait until they are gone, even when this is cancelled."""
        interrupted: asyncio.CancelledError | None = None
        while not self._is_gone:
            if session.kill(self._process.pid) and self._ending.is_over:
                self._process.wait()
                self._is_gone = True
                break
            try:
                await self._progress()
            except asyncio.CancelledError as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    async def _progress(self) -> None:
        """Wait for the end of the process, and after that, a moment for the end of the others."""
        if self._ending.is_over:
            await asyncio.sleep(POLL_INTERVAL)
        else:
            await self._until_over()


def _pipe(readers: contextlib.ExitStack, writers: contextlib.ExitStack) -> tuple[io.FileIO, io.FileIO]:
    """A pipe, each end to be closed by one of the two."""
    reading, writing = os.pipe()
    return (
        readers.enter_context(io.FileIO(reading, "r")),
        writers.enter_context(io.FileIO(writing, "w")),
    )
