"""A worker as the runner sees it: its line, what it writes, and its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from runner.clock import Timeouts
from runner.execution.sandbox.output import Output

PATIENCE = 0.1
"""How long a worker whose task is done may take to end by itself, in seconds."""

LOST = -1
"""In place of a wait status: nobody could tell, since its zygote went with it."""


class Worker:
    """One process, from its fork to its end."""

    def __init__(
        self, pid: int, line: socket.socket, output: Output, patience: Timeouts, kill: Callable[[], None]
    ) -> None:
        """A worker that has been forked.

        Parameters:
            patience: after which it is killed when its task is done; see `PATIENCE`.
            kill: has it killed; called at most once.
        """
        self.pid = pid
        self.line = line
        self.descriptor = line.fileno()
        """The line's. An event loop that is given the line itself writes a text about it each time."""
        self.output = output
        self.status: int | None = None
        """How it ended, as `os.wait` has it; None as long as it lives."""
        self._kill: Callable[[], None] | None = kill
        self._closes_at_end = False
        self._patience = patience
        self._gone: asyncio.Event | None = None
        """Made for who waits for the end, which is seldom."""
        self._watcher: Callable[[], None] | None = None
        line.setblocking(False)

    def watch(self, on_end: Callable[[], None] | None) -> None:
        """Have `on_end` called when it ends."""
        self._watcher = on_end

    def kill(self) -> None:
        """Have it killed, unless it has ended."""
        if self._kill is not None and self.status is None:
            kill, self._kill = self._kill, None
            kill()

    def ended(self, status: int) -> None:
        """It has ended, and has been reaped."""
        if self.status is None:
            self.status = status
            if self._gone is not None:
                self._gone.set()
            self._patience.stop(self.kill)
            if self._watcher is not None:
                self._watcher()
            if self._closes_at_end:
                self.close()

    async def gone(self) -> None:
        """Wait for its end."""
        if self.status is None:
            self._gone = self._gone or asyncio.Event()
            await self._gone.wait()

    def close(self) -> None:
        """Let go of its line and its output."""
        self.line.close()
        self.output.close()

    def dismiss(self) -> None:
        """It has said all that it had to say: have it end by itself or else be killed, and let go of it then."""
        if self.status is None:
            self._patience.set(self.kill)
        self._close_when_gone()

    def discard(self) -> None:
        """Nobody wants it any more: have it killed, and let go of it when it is gone."""
        self.kill()
        self._close_when_gone()

    def _close_when_gone(self) -> None:
        if self.status is None:
            self._closes_at_end = True
        else:
            self.close()
