"""What signals do to `n8n-runner start`: the first has it stop, if need be after a while; a second one ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable

from runner.scope import Scope
from runner.task_runner import TaskRunner
from statemachine import ConnectionState

log = logging.getLogger(__name__)


class Signals:
    """Handles SIGTERM and SIGINT for one runner."""

    def __init__(self, runner: TaskRunner, end_at_once: Callable[[], object]) -> None:
        """Handlers that are not installed yet; `end_at_once` is called at the second signal."""
        self._runner = runner
        self._end_at_once = end_at_once
        self._received: list[signal.Signals] = []
        self._scope = Scope(lambda name, error: log.error("%s failed", name, exc_info=error))

    @property
    def have_ended_it(self) -> bool:
        """Whether a second signal has come."""
        return len(self._received) > 1

    def install(self) -> None:
        """Handle signals from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    async def close(self) -> None:
        """End what is still under way."""
        await self._scope.cancel()

    def _on_signal(self, received: signal.Signals) -> None:
        self._received.append(received)
        linger = self._runner.config.linger if received is signal.SIGTERM else 0
        if self.have_ended_it:
            log.warning("Received %s signal again, ending at once", received.name)
            self._end_at_once()
        elif linger:
            log.info("Received %s signal, going on for %g s (N8N_RUNNERS_LINGER)", received.name, linger)
            self._scope.spawn(self._linger(linger), "lingering")
        else:
            self._stop(received.name)

    async def _linger(self, seconds: float) -> None:
        """Go on as if nothing had happened, until the time is over, or n8n has gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._runner.reached(ConnectionState.BACKOFF)
        self._stop(self._received[0].name)

    def _stop(self, name: str) -> None:
        log.info("Received %s signal, starting shutdown...", name)
        self._runner.request_stop(f"{name} was received")
