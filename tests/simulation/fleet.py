"""A fleet: many real runners of one broker, which restarts and takes but a few connections a second.

n8n takes five upgrades a second in all, and five token exchanges a second from one address. All runners of a fleet lose
their connection in the same moment, so those that come back in step are sent away in step.
"""

from __future__ import annotations

import asyncio
import random

import attrs
from msgspec import Raw

from runner import TaskRequest, TaskRunner, TaskRunnerConfig
from runner.broker import BrokerLimits
from statemachine import ConnectionState
from tests.simulation.clock import SimulatedClock
from tests.simulation.loop import SimulatedLoop
from tests.simulation.n8n import Reach, SimulatedBroker, SimulatedTransport
from tests.simulation.network import Network
from tests.simulation.plan import AUTH_TOKEN
from tests.simulation.run import quiet
from tests.simulation.scripted import CALM
from tests.simulation.story import Story

DOWN = 20.0
"""How long the broker of a fleet is away, in seconds."""

GIVE_UP = 4 * 3600.0
"""A fleet that is not back by then is not coming back, in seconds."""

SETTLED = 0.9
"""The share of a fleet for which the time is shown as well, beside that of its last runner."""

FLEET_PLAN = attrs.evolve(
    CALM, duration=0, graceful_timeout=1, request_interval=0, jitter=1, run_length=0, executor_time=0
)


@attrs.frozen
class Return:
    """How a fleet came back.

    Parameters:
        most: when most of the fleet were listening again, in seconds after the broker was up; `everybody` likewise.
        attempts: how many times a runner tried to connect, for each that came back.
    """

    size: int
    spread: float
    most: float
    everybody: float
    attempts: float


class NoTasks:
    """An executor that never gets a task."""

    async def start(self) -> None: ...

    async def execute(self, request: TaskRequest) -> Raw:
        raise AssertionError("nobody asks for a task")

    async def close(self) -> None: ...


class Fleet:
    """Runners that are started one after the other, and lose their broker together."""

    def __init__(self, size: int, spread: float, seed: int = 1) -> None:
        self.size = size
        self.spread = spread
        self.loop = SimulatedLoop()
        self._entropy = random.Random(seed)
        self._network = Network(self.loop, FLEET_PLAN, self._entropy, Story(self.loop, 0))
        self._broker = SimulatedBroker(SimulatedClock(self.loop), BrokerLimits(), self._entropy, self._network)
        self._clock = SimulatedClock(self.loop)

    def come_back(self) -> Return:
        """Restart the broker, and see how the fleet comes back."""
        with quiet():
            try:
                return self.loop.run_until_complete(self._come_back())
            finally:
                self.loop.abandon()

    async def _come_back(self) -> Return:
        runners = [self._runner() for _ in range(self.size)]
        starts = []
        for runner in runners:  # slowly enough for the broker: how they came is not the question
            starts.append(asyncio.ensure_future(runner.start()))
            await runner.reached(ConnectionState.LISTENING)
            await asyncio.sleep(0.25)
        await asyncio.sleep(60)
        self._broker.go_down(Reach.DOWN)
        await asyncio.sleep(DOWN)
        before = sum(runner._driver._machine.number for runner in runners)
        self._broker.come_up()
        times = await self._times_of(runners)
        attempts = sum(runner._driver._machine.number for runner in runners) - before
        for runner in runners:
            await runner.stop()
        await asyncio.gather(*starts)
        return Return(self.size, self.spread, times[int(SETTLED * self.size) - 1], times[-1], attempts / self.size)

    async def _times_of(self, runners: list[TaskRunner]) -> list[float]:
        """How long after the restart each runner was listening again, the fastest first."""
        up_at, times = self.loop.time(), []

        async def wait_for(runner: TaskRunner) -> None:
            await runner.reached(ConnectionState.LISTENING)
            times.append(self.loop.time() - up_at)

        async with asyncio.timeout(GIVE_UP):
            await asyncio.gather(*map(wait_for, runners))
        return times

    def _runner(self) -> TaskRunner:
        config = TaskRunnerConfig(auth_token=AUTH_TOKEN, max_concurrency=1, retry_spread=self.spread)
        transport = SimulatedTransport(self._broker, self._network, None)
        return TaskRunner(config, executor=NoTasks(), transport=transport, clock=self._clock, entropy=self._entropy)


SIZES = (50, 200, 1000)
SPREADS = (0.0, 5.0, 30.0, 120.0, 300.0)


def show_fleets() -> str:
    """A table of fleets and spreads, as Markdown."""
    head = [
        "| runners | spread | nine in ten are back | all are back | attempts for each |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = [Fleet(size, spread).come_back() for size in SIZES for spread in SPREADS]
    return "\n".join(
        head
        + [
            f"| {row.size:,} | {row.spread:g} s | {row.most:,.0f} s | {row.everybody:,.0f} s | {row.attempts:.1f} |"
            for row in rows
        ]
    )
