"""Gathers what metrics and pages are made of: most is at hand, memory is read in a thread and kept for a while."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

from runner.clock import Clock
from runner.observe.history import History
from runner.observe.memory import Memory, memory_by_pid
from runner.observe.metrics import Sources
from runner.observe.observed import Observed

MEMORY_LASTS = 1.5
"""For how long the memory of processes is taken to be what it was, in seconds."""


class Gatherer:
    """Gathers the sources of one runner."""

    def __init__(
        self, runner: Observed, history: History, clock: Clock, log_lines_dropped: Callable[[], int] = lambda: 0
    ) -> None:
        """One that has not looked yet."""
        self._runner = runner
        self._history = history
        self._clock = clock
        self._log_lines_dropped = log_lines_dropped
        self._began = clock.now()
        self._memory: Mapping[int, Memory] = {}
        self._memory_read_at: float | None = None
        self._reading = asyncio.Lock()

    async def gather(self) -> Sources:
        """The sources at this moment."""
        async with self._reading:
            await self._read_memory()
        return Sources(
            self._runner,
            self._history,
            self._memory,
            os.getpid(),
            self._clock.now() - self._began,
            self._log_lines_dropped(),
        )

    async def _read_memory(self) -> None:
        """Read the memory of all processes once in a while, and in between that of those that are new."""
        now = self._clock.now()
        status = self._runner.executor_status
        pids = {os.getpid(), *status.others, *status.waiting, *status.running.values()}
        known = {pid: memory for pid, memory in self._memory.items() if pid in pids}
        if self._memory_read_at is None or now - self._memory_read_at >= MEMORY_LASTS:
            self._memory_read_at, known = now, {}
        self._memory = {**known, **await asyncio.to_thread(memory_by_pid, pids - known.keys())}
