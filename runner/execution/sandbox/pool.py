"""The pool: workers that wait for tasks, forked ahead, and the zygote that they come from, replaced when it dies."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import attrs

from runner.clock import Alarm, Clock
from runner.errors import SandboxFailed, TaskFailed
from runner.execution.executor import ExecutorStatus, LayerStatus
from runner.execution.sandbox.confinement.report import Report
from runner.execution.sandbox.order import Order
from runner.execution.sandbox.spawn import Spawned
from runner.execution.sandbox.worker import Worker
from runner.execution.sandbox.zygote import NotReady, ZygoteProcess
from runner.scope import Scope, to_the_end

log = logging.getLogger(__name__)

PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
"""How long it takes until a zygote that died is replaced, in seconds: the more often in a row, the longer."""

SETTLED = 60.0
"""A zygote that has lived as long as this did not die in a row, in seconds."""

REFILL_PAUSE = 1.0
"""After how long workers that died while they waited are replaced, in seconds: never as fast as they may die."""

MOST_EXCLUDED = 100
"""How many modules are left out, one after the other, before a zygote that does not get ready is given up."""


class Pool:
    """Gives workers to those who have tasks. Confined or not is the zygote's business; see its `report`."""

    def __init__(self, order: Order, ahead: int, spawn: Callable[[], Spawned], clock: Clock) -> None:
        """A pool that is not started.

        Parameters:
            ahead: how many workers wait for tasks.
            spawn: starts a zygote, or raises OSError.
        """
        self.report = Report()
        self.problems: tuple[str, ...] = ()
        """A line for each module that could not be imported beforehand."""
        self._order = order
        self.ahead = ahead
        """How many workers wait for tasks."""
        self._spawn = spawn
        self._clock = clock
        self._zygote: ZygoteProcess | None = None
        self._waiting: deque[Worker] = deque()
        self._forking = 0
        self._wanted: deque[asyncio.Future[Worker]] = deque()
        self._retry = Alarm(clock, self._replace)
        self._refill = Alarm(clock, self.fill)
        self._deaths = 0
        self._workers_started = 0
        self._zygotes_started = 0
        self._born = 0.0
        self._scope: Scope | None = None

    async def start(self) -> None:
        """Start the zygote, and return when it can fork.

        Raises:
            SandboxFailed: it cannot be started.
        """
        self._scope = Scope(self._crashed)
        try:
            await self._raise_zygote()
        except (NotReady, OSError) as error:
            raise SandboxFailed(f"The process that tasks are forked from cannot be started: {error}") from error

    async def _raise_zygote(self) -> None:
        """Start a zygote; without the modules that one does not survive, if that is what it takes."""
        for _ in range(MOST_EXCLUDED):
            spawned = self._spawn()
            try:
                zygote = ZygoteProcess(spawned, self._clock, self._died)
            except OSError:  # there was no descriptor left for our side
                spawned.give_up()
                raise
            try:
                await zygote.prepare(self._order)
            except NotReady as problem:
                await to_the_end(zygote.close(), "ending a zygote")
                if problem.module not in self._order.preload:
                    raise
                log.warning("%s is imported in each task that needs it, not beforehand: %s", problem.module, problem)
                left = tuple(name for name in self._order.preload if name != problem.module)
                self._order = self._order._replace(preload=left)
                continue
            except BaseException:
                await to_the_end(zygote.close(), "ending a zygote")
                raise
            for line in zygote.problems:
                log.warning("Preloading: %s", line)
            self.report = zygote.report
            self.problems = tuple(zygote.problems)
            self._zygote = zygote
            self._zygotes_started += 1
            self._born = self._clock.now()
            self.fill()
            return

    def status(self, layers: tuple[LayerStatus, ...], running: Mapping[str, int]) -> ExecutorStatus:
        """The processes that there are, and how many there have been."""
        return ExecutorStatus(
            layers,
            dict(running),
            waiting=tuple(worker.pid for worker in self._waiting),
            others=() if self._zygote is None else (self._zygote.pid,),
            workers_started=self._workers_started,
            zygotes_started=self._zygotes_started,
        )

    async def take(self) -> Worker:
        """A worker for a task, which is the caller's from now on: to be killed, awaited and closed.

        To be followed by `fill`, but first the worker is told its task: while it runs that, there is time.

        Raises:
            TaskFailed: there is none to be had.
        """
        while self._waiting:
            worker = self._waiting.popleft()
            worker.watch(None)
            if worker.status is None:
                return worker
            worker.close()
        wanted: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._wanted.append(wanted)
        self.fill()
        try:
            return await wanted
        except asyncio.CancelledError:
            if wanted.done() and not wanted.cancelled() and wanted.exception() is None:
                self._keep(wanted.result())
            raise

    def expect_large(self) -> None:
        """Have workers be quicker with large tasks; called when there is one. Those that wait stay as they are."""
        if self._zygote is not None:
            self._zygote.expect_large()

    def _keep(self, worker: Worker) -> None:
        """Have a worker wait for a task."""
        self._waiting.append(worker)
        worker.watch(lambda: self._lost(worker))
        if worker.status is not None:
            self._lost(worker)

    def _lost(self, worker: Worker) -> None:
        """One has died that waited, as they do when memory runs out: let go of it, and have another one in a while."""
        self._waiting.remove(worker)
        worker.close()
        if self._scope is not None:
            self._refill.set(REFILL_PAUSE)

    def fill(self) -> None:
        """Ask for as many workers as are wanted, or to be there ahead."""
        if self._zygote is None or self._zygote.is_gone or self._scope is None:
            return
        lacking = len(self._wanted) + self.ahead - len(self._waiting) - self._forking
        on_refusal = partial(self._refused, self._zygote)
        for _ in range(lacking):
            self._forking += 1
            self._zygote.fork(self._forked, on_refusal)

    def _forked(self, worker: Worker) -> None:
        """Give a new worker to who has waited longest, or have it wait."""
        self._forking -= 1
        if self._scope is None:
            worker.discard()
            return
        self._workers_started += 1
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                wanted.set_result(worker)
                return
        self._keep(worker)

    def _refused(self, zygote: ZygoteProcess, error: OSError) -> None:
        """Tell one who waits that there is no worker; where the zygote has died, the next one will have some."""
        self._forking -= 1
        if not zygote.is_gone:
            self._refuse_one(error)

    def _refuse_one(self, error: Exception) -> None:
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                wanted.set_exception(TaskFailed(f"No process could be started for the task: {error}"))
                return

    # When the zygote dies

    def _died(self) -> None:
        """Replace it, after a pause that grows."""
        if self._zygote is None or self._scope is None:
            return
        if self._clock.now() - self._born > SETTLED:
            self._deaths = 0
        pause = self._next_pause()
        said = self._zygote.last_words()
        log.warning(
            "The process that tasks are forked from has ended; it is replaced in %g s%s", pause, said and f": {said}"
        )
        self._retry.set(pause)

    def _replace(self) -> None:
        if self._scope is not None:
            self._scope.spawn(self._change(), "replacing the zygote")

    async def _change(self) -> None:
        old, self._zygote = self._zygote, None
        if old is not None:
            await old.close()
        self._close_waiting()
        try:
            await self._raise_zygote()
        except (NotReady, OSError) as error:
            log.warning("The process that tasks are forked from cannot be started: %s", error)
            while self._wanted:
                self._refuse_one(error)
            self._retry.set(self._next_pause())

    def _next_pause(self) -> float:
        """How long to wait before the next zygote; longer each time."""
        pause = PAUSES[min(self._deaths, len(PAUSES) - 1)]
        self._deaths += 1
        return pause

    def _crashed(self, name: str, error: Exception) -> None:
        log.error("%s has failed", name, exc_info=error)

    async def close(self) -> None:
        """End all processes, and return when they are gone."""
        self._retry.stop()
        self._refill.stop()
        scope, self._scope = self._scope, None
        if scope is not None:
            await scope.cancel()
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            await zygote.close()
        self._close_waiting()

    def _close_waiting(self) -> None:
        while self._waiting:
            worker = self._waiting.popleft()
            worker.watch(None)
            worker.close()


@attrs.frozen
class Size:
    """How many workers a pool has ahead."""

    spare: int = 2
    most: int = 10

    def ahead(self, concurrency: int) -> int:
        """For so many tasks at a time."""
        return min(concurrency + self.spare, self.most)
