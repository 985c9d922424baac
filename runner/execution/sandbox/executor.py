"""The executor that everybody gets: each task in a warm, confined process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import partial

from runner.clock import Clock, SystemClock, Timeouts
from runner.config import TaskRunnerConfig
from runner.errors import SandboxFailed, TaskFailed
from runner.execution.executor import ExecutorStatus, LayerStatus, Outcome, TaskRequest
from runner.execution.sandbox.confinement.report import Report
from runner.execution.sandbox.conversation import OUTPUT_PAUSE, Conversation, Errand, NotStarted, Terms
from runner.execution.sandbox.folders import Folder, remove_abandoned
from runner.execution.sandbox.order import Order
from runner.execution.sandbox.orders import order_for
from runner.execution.sandbox.pool import Pool, Size
from runner.execution.sandbox.spawn import Spawned, spawn
from runner.execution.sandbox.verdicts import Verdicts
from runner.execution.sandbox.worker import Worker
from runner.protocol.codec import payload_limit
from runner.scope import to_the_end

log = logging.getLogger(__name__)

LARGE = 48 * 1024
"""From how many bytes on a task, its settings and its result, is large: a worker that is prepared for it saves half a
millisecond, and the fork of every other one then takes some 50 microseconds longer."""

ATTEMPTS = 3
"""How many workers may be gone before they have heard all of a task, beside those that waited, until it fails."""


class SandboxExecutor:
    """Runs each task in a process that was forked ahead, is confined by the kernel, and ends with the task."""

    def __init__(
        self,
        config: TaskRunnerConfig,
        environment: Mapping[str, str] = os.environ,
        *,
        python: str | None = None,
        spawned: Spawned | None = None,
        clock: Clock | None = None,
    ) -> None:
        """An executor for tasks with the limits of `config`.

        Parameters:
            environment: the runner's own, of which tasks get what the configuration allows.
            python: the interpreter of the tasks; unless given, the runner's own.
            spawned: a zygote that was started ahead, and may have been told what to be; this executor's from now on.
            clock: where time comes from; for tests.
        """
        self._config = config
        self._environment = environment
        self._python = python
        self._spawned = spawned
        self._clock = clock or SystemClock()
        self._pauses = Timeouts(self._clock, OUTPUT_PAUSE)
        self._terms = Terms(payload_limit(config.max_payload_size), config.max_prints, self._pauses)
        self._verdicts = Verdicts()
        self._pool: Pool | None = None
        self._folder: Folder | None = None
        self._running: dict[str, int] = {}

    @property
    def report(self) -> Report:
        """What the confinement of tasks achieved; empty before `start()`."""
        return self._pool.report if self._pool is not None else Report()

    def status(self) -> ExecutorStatus:
        """Its processes, and what confines them."""
        layers = tuple(LayerStatus(*result) for result in self.report)
        return ExecutorStatus(layers) if self._pool is None else self._pool.status(layers, self._running)

    @property
    def preload_problems(self) -> tuple[str, ...]:
        """A line for each module that could not be imported beforehand; empty before `start()`."""
        return self._pool.problems if self._pool is not None else ()

    async def start(self) -> None:
        """Start the zygote, and say what confines the tasks.

        Raises:
            SandboxFailed: there can be no tasks, or the kernel does not confine them as the configuration asks for.
        """
        config = self._config
        try:
            await to_the_end(_tidy_up(), "removing abandoned folders")
            order = self._order()
        except OSError as error:
            raise SandboxFailed(f"There can be no temporary folders for tasks: {error}") from error
        self._pool = Pool(order, Size().ahead(config.max_concurrency), self._spawn, self._clock)
        await self._pool.start()
        self._judge(self._pool.report)

    def _order(self) -> Order:
        """What the zygote is to be, and a folder for it: one that was started ahead may have been told already."""
        spawned = self._spawned
        if spawned is not None and spawned.told is not None and spawned.folder is not None:
            self._folder, spawned.folder = spawned.folder, None
            return spawned.told
        self._folder = Folder()
        return order_for(self._config, str(self._folder.tasks), self._environment)

    def _spawn(self) -> Spawned:
        spawned, self._spawned = self._spawned, None
        return spawned or spawn(self._python, self._environment)

    def _judge(self, report: Report) -> None:
        """Log what was achieved; refuse to go on if it is less than was asked for."""
        if report.is_complete:
            log.info("Confinement of tasks: %s", report)
            return
        log.warning("Confinement of tasks is not complete: %s", report)
        lacking = {result.layer: result.why for result in report.lacking()}
        if self._config.confinement == "required":
            why = "N8N_RUNNERS_CONFINEMENT=required, but tasks are not confined completely"
            raise SandboxFailed(why, variable="N8N_RUNNERS_CONFINEMENT", lacking=lacking)
        if self._config.language == "full":
            why = "N8N_RUNNERS_LANGUAGE=full needs tasks that are confined completely, and they are not"
            raise SandboxFailed(why, variable="N8N_RUNNERS_LANGUAGE", lacking=lacking)

    async def close(self) -> None:
        """End everything, and remove what is left on disk. Comes to its end also when it is cancelled."""
        await to_the_end(self._end(), "ending the sandbox")

    async def _end(self) -> None:
        self._pauses.stop_all()
        if self._pool is not None:
            await self._pool.close()
        if self._spawned is not None:
            self._spawned.give_up()
            self._spawned = None
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(folder.remove)

    async def execute(self, request: TaskRequest) -> Outcome:
        """Run one task in a process of its own."""
        if self._pool is None:
            raise AssertionError("execute() follows start()")
        key, task_id = self._verdicts.key_of(request.settings), request.task_id
        errand = Errand(request.settings, request.print, request.n8n)
        size = len(request.settings)
        del request  # or else its settings, which may be large, would be kept as long as the task runs
        for _ in range(self._pool.ahead + ATTEMPTS):
            worker = await self._pool.take()
            self._running[task_id] = worker.pid
            conversation = Conversation(worker, errand, self._terms, partial(self._verdicts.keep, key))
            try:
                result = await conversation.hold(self._verdicts.get(key), self._pool.fill)
            except NotStarted:
                worker.discard()
            except BaseException:
                await to_the_end(_bury(worker), "ending a worker")
                raise
            else:
                worker.dismiss()
                if size + len(result.result) > LARGE:
                    self._pool.expect_large()
                return result
            finally:
                self._running.pop(task_id, None)
        raise TaskFailed("No process could be started for the task: all that were started ended at once")


async def _tidy_up() -> None:
    """Remove what runners that were killed have left, which may be many files."""
    await asyncio.to_thread(remove_abandoned)


async def _bury(worker: Worker) -> None:
    """End a worker, and return when it is gone."""
    worker.kill()
    await worker.gone()
    worker.close()
