"""The owner of the runner: starts it, stops it in every way and at any moment, and starts it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from runner import AlreadyStarted, AuthenticationFailed, SandboxFailed, TaskRunner
from runner.connection.effects import MIN_FLUSH_TIMEOUT
from runner.connection.websocket import CLOSE_TIMEOUT
from statemachine import ConnectionState
from tests.simulation.executor import CLOSING_SHARE, MAX_STUBBORNNESS, InjectedFailure
from tests.simulation.plan import Trouble, weighted
from tests.simulation.rules import Moment
from tests.simulation.world import OWN

if TYPE_CHECKING:
    from tests.simulation.run import Simulation

_T = Trouble

EXPECTED = (AuthenticationFailed, SandboxFailed, InjectedFailure)
"""What start() may raise here; anything else is a bug."""

LOST_SHARE = 0.3
"""How often a connection is lost while its runner stops, if it is not closed before."""

FAILURE_SHARE = 0.03
"""How often each way in which an executor can fail itself is drawn for a run."""


class Owner:
    """Runs one runner after the other, until the simulation's time is up."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._entropy = sim.entropy
        self._ends_of_run: dict[Trouble, Callable[[TaskRunner, asyncio.Task[None]], Awaitable[None]]] = {
            _T.STOP: self._stop,
            _T.STOP_TWICE: self._stop_twice,
            _T.REQUEST_STOP: self._request_stop,
            _T.CANCEL_START: self._cancel_start,
            _T.STOP_WHILE_STARTING: self._stop,
            _T.START_TWICE: self._start_twice,
        }

    async def run(self) -> None:
        """Until time is up."""
        sim = self._sim
        while sim.now < sim.plan.duration:
            sim.make_runner()
            sim.runner.on_idle_timeout = self._handle_idleness
            if self._entropy.random() < 0.05:
                await self._stop_first()
            for _ in range(self._entropy.randrange(1, 4)):
                await self._run_once()
                await self._pause()
                if sim.now >= sim.plan.duration or not sim.plan.by_auth_token:
                    break  # a grant token that was handed over is good for one run
                sim.story.count(_T.RESTART.name)

    async def _run_once(self) -> None:
        """Start the runner, leave it to itself for a while, and end it; unless it ends by itself."""
        sim, entropy = self._sim, self._entropy
        self._prepare_failures()
        how = weighted(entropy, {_T.STOP: 4, _T.STOP_WHILE_STARTING: 1, **dict.fromkeys(self._ends_of_run, 1.0)})
        lifetime = entropy.random() * 3 if how is _T.STOP_WHILE_STARTING else entropy.expovariate(1 / self._run_length)
        start = sim.start()
        await asyncio.wait({start}, timeout=min(lifetime, max(0.0, sim.plan.duration - sim.now)))
        if not start.done():
            sim.story.count(how.name)
            sim.story.tell("owner", f"ends the run: {how.value}")
            sim.stop_is_called(self._stop_bound())
            if entropy.random() < LOST_SHARE and sim.plan.trouble_interval:
                sim.spawn(self._lose_the_connection(), OWN + _T.LOST_WHILE_STOPPING.name)
            await self._ends_of_run[how](sim.runner, start)
        await self._wait_for_the_end(start)

    @property
    def _run_length(self) -> float:
        return self._sim.plan.run_length

    def _prepare_failures(self) -> None:
        """Now and then the executor itself is to fail."""
        self._sim.executor.failing = None
        if self._sim.plan.trouble_interval:
            for trouble in (_T.EXECUTOR_NOT_READY, _T.EXECUTOR_STUCK_CLOSING):
                if self._entropy.random() < FAILURE_SHARE:
                    self._sim.executor.failing = trouble

    def _stop_bound(self) -> float:
        """How long stop() may take, in seconds."""
        plan = self._sim.plan
        patience = 2 * plan.graceful_timeout if plan.idle_timeout else plan.graceful_timeout  # for the idle handler
        closing = MIN_FLUSH_TIMEOUT + 2 * CLOSE_TIMEOUT + CLOSING_SHARE * plan.executor_time
        return patience + MAX_STUBBORNNESS + closing

    async def _wait_for_the_end(self, start: asyncio.Task[None]) -> None:
        """Let start() end, and hold what is left against the rules."""
        sim = self._sim
        await asyncio.wait({start})
        failure = None if start.cancelled() else start.exception()
        sim.story.tell("owner", "sees start() end", failure and repr(failure))
        if failure is not None and not isinstance(failure, EXPECTED):
            sim.broke("start_ends_as_documented", "start() raises what its documentation says.", repr(failure))
        sim.world.ended()
        sim.check(Moment.ENDED)
        sim.stop_called_at = None

    async def _lose_the_connection(self) -> None:
        """Break the connection off while the runner stops, if there is still one."""
        await asyncio.sleep(self._entropy.random() * self._sim.plan.graceful_timeout / 2)
        connection = self._sim.network.current
        if connection is not None:
            self._sim.network.disturb(_T.LOST_WHILE_STOPPING)
            connection.break_off()

    # Ways to end a run

    async def _stop(self, runner: TaskRunner, start: asyncio.Task[None]) -> None:
        await runner.stop()

    async def _stop_twice(self, runner: TaskRunner, start: asyncio.Task[None]) -> None:
        first = self._sim.spawn(runner.stop(), OWN + "first stop")
        await asyncio.sleep(self._entropy.choice([0, 0.01, 1]))
        await runner.stop()
        await first

    async def _request_stop(self, runner: TaskRunner, start: asyncio.Task[None]) -> None:
        runner.request_stop("a signal")

    async def _cancel_start(self, runner: TaskRunner, start: asyncio.Task[None]) -> None:
        start.cancel()
        if self._entropy.random() < 0.3:  # an impatient owner
            await asyncio.sleep(0)
            start.cancel()

    async def _start_twice(self, runner: TaskRunner, start: asyncio.Task[None]) -> None:
        try:
            await runner.start()
        except AlreadyStarted:
            await runner.stop()
        else:
            self._sim.broke("start_ends_as_documented", "A runner that runs cannot be started.", "it was")

    async def _stop_first(self) -> None:
        """Stop a runner that has not been started: its start() returns at once."""
        sim = self._sim
        await sim.runner.stop()
        sim.story.count(_T.STOP_WHILE_STARTING.name)
        start = sim.start()
        await self._wait_for_the_end(start)
        if sim.machine.number:
            sim.broke("stop_before_start", "A runner that was stopped before it started does not connect.", "it did")

    # Between runs

    async def _pause(self) -> None:
        """Wait before what comes next; perhaps stop what is stopped already."""
        refused = self._sim.runner.state is ConnectionState.AUTH_FAILED
        if self._entropy.random() < (0.7 if refused else 0.2):
            self._sim.story.count(_T.STOP_AGAIN.name)
            await self._sim.runner.stop()
            self._sim.check(Moment.ENDED)
        longest = 60 if refused else 10  # as a launcher waits, who would have nothing else to do for ever
        await asyncio.sleep(weighted(self._entropy, {0: 1, 0.5: 1, longest: 1}))

    async def _handle_idleness(self) -> None:
        """The owner's idle handler: it does as handlers do, and as they should not."""
        self._sim.story.count("idle timeouts")
        how = self._entropy.randrange(4)
        if how == 1:
            await self._sim.runner.stop()
        elif how == 2:
            await asyncio.sleep(self._entropy.random() * 2 * self._sim.plan.graceful_timeout)
        elif how == 3:
            raise InjectedFailure("the owner's handler fails")
