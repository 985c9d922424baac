"""The executor that hands tasks to a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.clock import Alarm, Clock, SystemClock
from runner.config import TaskRunnerConfig
from runner.errors import ExtraMissing, TaskFailed
from runner.execution.executor import Outcome, TaskRequest
from runner.protocol.codec import payload_limit
from runner.scope import Scope, to_the_end

if TYPE_CHECKING:
    from runner.execution.dask.line import Line

log = logging.getLogger(__name__)


class DaskExecutor:
    """Runs each task on a worker of a Dask cluster, in a confined process from the warm pool that each worker keeps.

    It has as many slots as the workers have threads; they come and go with the workers. A cluster that is not there is
    tried again every five seconds; meanwhile there are no slots, and so no offers. Dask's scheduler says which workers
    there are, and has no other part in tasks: none is ever run twice.
    """

    def __init__(self, config: TaskRunnerConfig, scheduler: str, *, clock: Clock | None = None) -> None:
        """An executor for the cluster of a scheduler.

        Parameters:
            scheduler: its address, such as `tcp://10.0.0.5:8786`; or `tls://...`, with Dask's own configuration of TLS.
            clock: where time comes from; for tests.

        Raises:
            ExtraMissing: the extra `dask` is not installed.
        """
        try:
            from runner.execution.dask.cluster import Cluster
        except ImportError as error:
            raise ExtraMissing("dask", "The Dask executor") from error
        self._clock = clock or SystemClock()
        self._cluster = Cluster(config, scheduler, self._serve, self._pause)
        self._limit = payload_limit(config.max_payload_size)
        self._lines: set[Line] = set()
        self._watchers: list[Callable[[], None]] = []
        self._scope: Scope | None = None

    @property
    def concurrency(self) -> int:
        """How many tasks the workers that are there can run at the same time."""
        return len(self._lines)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Have `on_change` called whenever `concurrency` has changed by itself."""
        self._watchers.append(on_change)

    async def start(self) -> None:
        """Begin to look for the cluster. A cluster that is not there is waited for, as a task broker is."""
        self._scope = Scope(self._crashed)
        self._scope.spawn(self._cluster.stay(), "keeping the Dask cluster")

    async def close(self) -> None:
        """Leave the cluster: the pools of its workers end unless other runners use them."""
        scope, self._scope = self._scope, None
        if scope is not None:
            await to_the_end(scope.cancel(), "leaving the Dask cluster")

    async def execute(self, request: TaskRequest) -> Outcome:
        """Run one task on the worker that has the most free slots."""
        free = Counter(line.worker for line in self._lines if line.is_free)
        line = max((line for line in self._lines if line.is_free), key=lambda line: free[line.worker], default=None)
        if line is None:
            raise TaskFailed("No worker of the Dask cluster is free", "The one that was to run the task is gone.")
        return await line.execute(request)

    async def _pause(self, seconds: float) -> None:
        over = asyncio.Event()
        alarm = Alarm(self._clock, over.set)
        alarm.set(seconds)
        try:
            await over.wait()
        finally:
            alarm.stop()

    async def _serve(self, line: Line) -> None:
        """Have a slot while a line lives."""
        self._lines.add(line)
        self._changed()
        try:
            await line.live()
        finally:
            self._lines.discard(line)
            self._changed()

    def _changed(self) -> None:
        for on_change in self._watchers:
            on_change()

    def _crashed(self, name: str, error: Exception) -> None:
        log.error("%s failed, which is a bug", name, exc_info=error)
