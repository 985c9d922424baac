"""The executors of a runner, by the type of task that each runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from runner.execution.executor import Executor, ExecutorStatus, Inspectable

log = logging.getLogger(__name__)


class Executors:
    """Several executors that are started and closed together. One that serves several types is asked once."""

    def __init__(self, by_type: Mapping[str, Executor], on_failed_close: Callable[[], None]) -> None:
        """The executors of a runner, at rest.

        Parameters:
            on_failed_close: called for each that raised when it was closed, which is a bug of that executor.
        """
        self._each = list({id(executor): executor for executor in by_type.values()}.values())
        self._on_failed_close = on_failed_close

    def status(self) -> ExecutorStatus:
        """What those that can be looked into tell of themselves, together."""
        told = [executor.status() for executor in self._each if isinstance(executor, Inspectable)]
        return ExecutorStatus(
            layers=next((status.layers for status in told if status.layers), ()),
            running={task: process for status in told for task, process in status.running.items()},
            waiting=tuple(process for status in told for process in status.waiting),
            others=tuple(process for status in told for process in status.others),
            workers_started=sum(status.workers_started for status in told),
            zygotes_started=sum(status.zygotes_started for status in told),
        )

    async def start(self) -> None:
        """Start all, one after the other. Raises what the first raises that cannot start."""
        for executor in self._each:
            await executor.start()

    async def close(self) -> None:
        """Close all, the last first. One that fails to must neither keep the others open nor hide why start() ends."""
        for executor in reversed(self._each):
            try:
                await executor.close()
            except Exception:
                log.exception("The executor %s failed to close, which is a bug", type(executor).__name__)
                self._on_failed_close()
