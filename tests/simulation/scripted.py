"""A simulation that is told what to do: a calm world, in which a test makes one thing happen after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import attrs

from statemachine import ConnectionState
from tests.simulation.plan import Plan
from tests.simulation.run import Simulation, quiet

CALM = Plan(
    duration=3600,
    slots=1,
    other_slots=0,
    by_auth_token=True,
    fixed_id=False,
    task_timeout=60,
    graceful_timeout=10,
    idle_timeout=0,
    heartbeat_interval=30,
    retry_spread=0,
    token_lifetime=30,
    trouble_interval=0,
    request_interval=1e9,
    latency=0.001,
    jitter=0,
    run_length=1e9,
    executor_time=0.01,
    connection_age=0,
)


class Scripted(Simulation):
    """A calm world without an owner, a requester or a troublemaker: the test is all three."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(1, plan=attrs.evolve(CALM, **changes), keep=None)

    def play(self, script: Coroutine[Any, Any, None]) -> None:
        """Let the script happen, and the rules hold."""
        with quiet():
            try:
                self.loop.run_until_complete(self.spawn(script, "simulated: script"))
            finally:
                self.loop.abandon()
        assert self.broken is None, self.broken

    async def listening(self) -> asyncio.Task[None]:
        """Start the runner, and wait until it is listening. Returns the coroutine of start()."""
        start = self.start()
        await self.runner.reached(ConnectionState.LISTENING)
        await asyncio.sleep(0.1)
        return start
