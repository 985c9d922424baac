"""`n8n-runner start` in a process of its own, and what it logs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping

from tests.support import ROOT


class Started:
    """A runner. Its log is read all the time: a pipe that nobody reads would stop it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.times: list[float] = []
        self._seen = 0
        self._news = asyncio.Event()
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self.times.append(time.monotonic())
            self._news.set()
        self._ended = True
        self._news.set()

    async def logged(self, text: str, within: float = 90) -> float:
        """Wait for a line of the log that comes after those that were waited for before; returns when it came."""
        async with asyncio.timeout(within):
            while True:
                while self._seen < len(self.lines):
                    self._seen += 1
                    if text in self.lines[self._seen - 1]:
                        return self.times[self._seen - 1]
                assert not self._ended, f"the runner ended before it logged {text!r}: {self.lines}"
                self._news.clear()
                await self._news.wait()

    def times_of(self, text: str) -> list[float]:
        """When each line with this text came."""
        return [when for when, line in zip(self.times, self.lines, strict=True) if text in line]

    def lines_with(self, text: str) -> list[str]:
        """Every line with this text."""
        return [line for line in self.lines if text in line]

    async def ended(self, within: float) -> int:
        """Wait for its end, and return its exit code."""
        async with asyncio.timeout(within):
            await self._reading
            return await self.process.wait()


@contextlib.asynccontextmanager
async def started(env: Mapping[str, str], *, exit_code: int = 0) -> AsyncIterator[Started]:
    """A runner with these variables and no others; at the end of the block it is told to stop, and has to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runner",
        "start",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    runner = Started(process)
    try:
        yield runner
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            ended_with = await runner.ended(within=20)
        except TimeoutError:
            process.kill()
            raise
    assert ended_with == exit_code, runner.lines
