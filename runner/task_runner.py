"""`TaskRunner`: wires the parts together, and owns no rule of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runner.clock import Clock, SystemClock
from runner.config import TaskRunnerConfig
from runner.connection.driver import Driver, Mailbox
from runner.connection.effects import ConnectionEffects
from runner.connection.transport import Transport
from runner.connection.websocket import WebSocketTransport
from runner.errors import (
    AlreadyStarted,
    AuthenticationFailed,
    ConfigurationError,
    NoIdleTimeoutHandlerError,
    UnsupportedPlatform,
)
from runner.execution.executor import PYTHON, Executor, ExecutorStatus
from runner.execution.several import Executors
from runner.observe.counters import Count, Counters
from runner.observe.observers import Observer, Observers
from runner.observe.readiness import Readiness, readiness_of
from runner.scope import OnCrash, Scope, to_the_end
from runner.tasks.workload import TaskWorkload
from statemachine import ConnectionEvent, ConnectionMachine, ConnectionState, ConnectionStep, Entry, Journal, Outcome

if TYPE_CHECKING:  # made only when somebody observes
    from runner.observe.events import RunningTask

log = logging.getLogger(__name__)


class TaskRunner:
    """A task runner: connects to a task broker, takes tasks, runs them, and keeps at it until it is stopped.

    It installs no signal handler, configures no logging and starts no server. Use it in one of two ways:

        await runner.start()            # blocks until somebody calls stop()

        async with runner:              # runs while the block runs, and is stopped at its end
            ...

    Two runners in one process do not know of each other. A runner that was stopped can be started again.
    """

    def __init__(
        self,
        config: TaskRunnerConfig,
        *,
        executor: Executor | None = None,
        executors: Mapping[str, Executor] | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        entropy: random.Random | None = None,
    ) -> None:
        """A runner at rest.

        Parameters:
            config: everything that it has to be told.
            executor: what runs tasks of the type `python`; unless given, each runs in a confined process of its own.
            executors: in place of `executor`, what runs the tasks of each type that is to be served.
            transport: how the task broker is reached; unless given, over a WebSocket, as the configuration says.
            clock: where time comes from; for tests.
            entropy: where chance comes from; for tests. Unless given, the operating system's, which nobody can guess.

        Raises:
            ConfigurationError: `executors` names no type, or is given beside `executor`.
            UnsupportedPlatform: no executor is given, and this operating system cannot run tasks in confined processes.
        """
        self.on_idle_timeout: Callable[[], Awaitable[None]] | None = None
        """Called when there has been no task for `auto_shutdown_timeout`. The runner stops when it has returned."""
        self.config = config
        self._counters = counters = Counters()
        self._observers = observers = Observers(partial(counters.add, Count.OBSERVERS_FAILED))
        clock = clock or SystemClock()
        by_type = _executors(config, executor, executors)
        self._executors = Executors(by_type, partial(counters.add, Count.CRASHES))
        transport = transport or WebSocketTransport(config)
        entropy = entropy or random.SystemRandom()
        self._workload = TaskWorkload(config, clock, counters, observers, by_type, entropy, self._idle)
        self._journal = Journal(clock.wall)
        self._mailbox = Mailbox()
        self._effects = ConnectionEffects(
            config, clock, counters, observers, self._workload, transport, entropy, self._mailbox.post, self._crashed
        )
        machine = ConnectionMachine(self._journal, (self._moved,))
        self._driver = Driver(machine, self._effects, self._mailbox, self._reached)
        self._state = machine.state
        self._waiters: list[tuple[ConnectionState, asyncio.Future[None]]] = []
        self._run: _Run | None = None
        self._is_awaited = True
        self._stopped_early = False
        self._group: asyncio.TaskGroup | None = None

    # What can be seen

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands."""
        return self._state

    @property
    def journal(self) -> tuple[Entry, ...]:
        """What happened to the connection lately, oldest first."""
        return self._journal.entries

    @property
    def path(self) -> tuple[str, ...]:
        """The states that the connection went through lately, first to last."""
        return self._journal.path()

    @property
    def counters(self) -> Mapping[Count, int]:
        """What has been counted since this runner was made."""
        return self._counters

    @property
    def running_tasks(self) -> int:
        """How many tasks hold a slot."""
        return self._workload.running_tasks

    @property
    def open_offers(self) -> int:
        """How many slots are on offer to the broker."""
        return self._workload.open_offers

    @property
    def readiness(self) -> Readiness:
        """Whether it can be given tasks at this moment, and if not, why."""
        return readiness_of(
            self._state,
            why=next((entry.why for entry in reversed(self.journal) if not entry.ignored), ""),
            silent_for=self._effects.silent_for,
            heartbeat_interval=self.config.heartbeat_interval,
            offers_missing_for=self._workload.offers_missing_for,
        )

    @property
    def tasks(self) -> tuple[RunningTask, ...]:
        """The tasks that hold a slot, in the order in which they were accepted."""
        return self._workload.tasks

    @property
    def runner_id(self) -> str:
        """The id under which the broker knows this runner."""
        return self._effects.runner_id

    @property
    def executor_status(self) -> ExecutorStatus:
        """What the executors tell of themselves; nothing of those that do not."""
        return self._executors.status()

    @property
    def slots(self) -> int:
        """How many tasks may run at the same time, of all types together."""
        return self._workload.slots

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Have `observer` hear of what happens from now on, until the function that this returns is called."""
        return self._observers.add(observer)

    async def reached(self, state: ConnectionState) -> None:
        """Wait until the connection stands at `state`; return at once when it does."""
        if self._state is not state:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((state, waiter))
            await waiter

    # What can be done

    async def start(self) -> None:
        """Connect, take tasks, and return when the runner has been stopped.

        A refused credential ends it; every other failure to connect, and every loss of the connection, is logged
        as a warning and followed by another attempt after five seconds (more, if a spread is configured), for ever.
        With a lost connection its offers stop and its coroutines are cancelled and awaited before the next attempt.

        Cancelling this stops everything at once, tasks included, before the cancellation goes on.

        Raises:
            AuthenticationFailed: the broker answered 401 or 403.
            NoIdleTimeoutHandlerError: auto shutdown is enabled and `on_idle_timeout` is not set.
            AlreadyStarted: it is running.
            UnsupportedPlatform: the executor cannot work on this operating system.
            SandboxFailed: tasks cannot be run here as the configuration asks for.
        """
        if self._run is not None:
            raise AlreadyStarted(self._state.value)
        self._is_awaited = False
        if self.config.is_auto_shutdown_enabled and self.on_idle_timeout is None:
            raise NoIdleTimeoutHandlerError(self.config.auto_shutdown_timeout)
        if self._stopped_early:
            self._stopped_early = False
            return
        await self._drive(ConnectionEvent.CONNECT)
        refusal = self._effects.refusal
        if self._state is ConnectionState.AUTH_FAILED and refusal is not None:
            raise AuthenticationFailed(refusal.status, str(refusal)) from refusal.__cause__

    async def stop(self) -> None:
        """Stop, and return when nothing is left: tasks in flight may go on for the graceful timeout first.

        Works from every state and at any moment, any number of times. Called before the first `start()` has taken its
        first step, it makes that return at once.
        """
        if self._run is not None:
            self.request_stop("stop() was called")
            await self._run.over_for(asyncio.current_task())
        elif self._is_awaited:
            self._stopped_early = True
        elif self._state is ConnectionState.AUTH_FAILED:
            await self._drive(ConnectionEvent.SHUTDOWN)

    def request_stop(self, why: str) -> None:
        """Ask a running runner to stop, and return at once: for signal handlers. `why` is kept in the journal."""
        self._mailbox.post(ConnectionEvent.SHUTDOWN, None, why)
        if self._run is not None:
            self._run.interrupt_start()

    def note_stall(self, seconds: float) -> None:
        """Count that the event loop stood still, as a watch of it has seen (see `runner.observe.stalls`)."""
        self._counters.add(Count.LOOP_STALLS)
        self._observers.tell(Observer.on_stall, seconds)

    def note_crash(self, what: str, error: Exception) -> None:
        """Take note of an exception that nobody has handled: for the exception handler of an event loop.

        It is logged with the latest states of the connection, and counts as the connection's loss: the runner lives on.
        """
        self._crashed(what, error)

    async def __aenter__(self) -> Self:
        """Start in the background. When `start()` fails, the block is cancelled and its error comes out of it."""
        self._is_awaited = True
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._group.create_task(self.start(), name="n8n-runner")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, and wait until nothing is left."""
        group, self._group = self._group, None
        if group is None:
            raise AssertionError("__aexit__ follows __aenter__")
        try:
            if kind is None:
                try:
                    await self.stop()
                except BaseException as interruption:
                    await group.__aexit__(type(interruption), interruption, interruption.__traceback__)
                    raise
            await group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__

    async def _drive(self, first: ConnectionEvent) -> None:
        """Drive the connection from rest to rest, and leave nothing behind, however it ends."""
        run = self._run = _Run(self._handler_crashed)
        self._mailbox.open(first)
        try:
            await (self._drive_with_executor(run) if first is ConnectionEvent.CONNECT else self._driver.run())
            run.rested.set()
            await run.let_handlers_end(self.config.graceful_shutdown_timeout)
        finally:
            self._mailbox.close()
            run.rested.set()
            try:
                await run.handlers.cancel()
            finally:
                self._run = None
                run.ended.set()
        if self._state is ConnectionState.DISCONNECTED:
            log.info("Runner stopped")

    async def _drive_with_executor(self, run: _Run) -> None:
        """Drive the connection while the executor is ready."""
        try:
            if await run.can_start(self._executors.start):
                await self._driver.run()
            elif self._state is ConnectionState.AUTH_FAILED:  # from an earlier run
                self._mailbox.open(ConnectionEvent.SHUTDOWN)
                await self._driver.run()
        finally:
            await to_the_end(self._executors.close(), "closing the executors")

    # What the parts report

    def _moved(self, step: ConnectionStep) -> None:
        """Tell those who watch of a transition, once the journal has it."""
        if self._observers and step.outcome is Outcome.TAKEN:
            self._observers.tell(Observer.on_transition, self._journal.entries[-1])

    def _reached(self, state: ConnectionState) -> None:
        self._state = state
        for waiting_for, waiter in self._waiters:
            if waiting_for is state and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(waiting_for, waiter) for waiting_for, waiter in self._waiters if not waiter.done()]

    def _crashed(self, name: str, error: Exception) -> None:
        self._counters.add(Count.CRASHES)
        self._driver.crashed(name, error)

    def _handler_crashed(self, name: str, error: Exception) -> None:
        log.error("%s raised an exception", name, exc_info=error)

    def _idle(self) -> None:
        run = self._run
        if run is not None and not run.handlers:  # it may have been called, and be taking its time
            log.info("No task for %g s: shutting down", self.config.auto_shutdown_timeout)
            run.handlers.spawn(self._call_idle_handler(), "on_idle_timeout")

    async def _call_idle_handler(self) -> None:
        """Tell the owner, who may call stop() or not: the runner stops in any case."""
        try:
            if self.on_idle_timeout is not None:
                await self.on_idle_timeout()
        finally:
            self.request_stop("idle timeout")


class _Run:
    """One run of a runner, from `start()` to its end."""

    def __init__(self, on_crash: OnCrash) -> None:
        self.rested = asyncio.Event()
        self.ended = asyncio.Event()
        self.handlers = Scope(on_crash)
        self._starting: asyncio.Timeout | None = None

    async def can_start(self, start: Callable[[], Awaitable[None]]) -> bool:
        """Let the executor start, which may take long. Returns False if the runner was told to stop meanwhile."""
        starting = asyncio.timeout(None)
        try:
            async with starting:
                self._starting = starting
                await start()
        except TimeoutError:
            if not starting.expired():
                raise  # the executor's own
            return False
        finally:
            self._starting = None
        return True

    def interrupt_start(self) -> None:
        """The runner is told to stop: if the executor is still starting, its start is cancelled."""
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.reschedule(0)

    async def over_for(self, task: asyncio.Task[Any] | None) -> None:
        """Wait for the end; a handler of the owner, for which the end itself waits, waits for the connection's."""
        await (self.rested if task in self.handlers else self.ended).wait()

    async def let_handlers_end(self, patience: float) -> None:
        """Let the owner's handler come to its end, for `patience` seconds; it may be what called stop()."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.handlers.join()


def _executors(
    config: TaskRunnerConfig, executor: Executor | None, executors: Mapping[str, Executor] | None
) -> dict[str, Executor]:
    """Who runs the tasks of each type."""
    if executors is None:
        return {PYTHON: executor or _default_executor(config)}
    if executor is not None:
        raise ConfigurationError(["executor= is the short form for executors={'python': ...}: give one of the two"])
    if not executors or "" in executors:
        raise ConfigurationError(["executors= has to name at least one task type, and no type has an empty name"])
    return dict(executors)


def _default_executor(config: TaskRunnerConfig) -> Executor:
    """The executor that everybody gets who does not bring one."""
    if sys.platform == "win32":
        raise UnsupportedPlatform("Windows")
    from runner.execution.sandbox.executor import SandboxExecutor  # not needed by those who bring their own

    return SandboxExecutor(config)
