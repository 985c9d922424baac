"""Who asks the broker for tasks, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from runner.broker import RequestedTask, TaskBroker, TaskEnd
from runner.broker.service import NodeTypeWanted
from runner.broker.tasks import RequestState
from tests.simulation.executor import drawn_settings
from tests.simulation.n8n import Reach, SimulatedBroker
from tests.simulation.plan import Plan, log_uniform
from tests.simulation.story import Story

LONGEST_THOUGHT = 5.0
"""How long n8n takes to answer at most, in seconds."""

MANY = 500
"""So many requests are remembered before those that have ended are counted and forgotten."""


class Answers:
    """Answers what a task asks, after a while: with the number of its request, and with what it was given."""

    def __init__(self, number: int, entropy: random.Random) -> None:
        self._number = number
        self._entropy = entropy

    async def data(self) -> Mapping[str, Any]:
        await self._think()
        return {"request": self._number}

    async def node_types(self, wanted: Sequence[NodeTypeWanted]) -> Sequence[Mapping[str, Any]]:
        await self._think()
        return []

    async def call(self, name: str, arguments: Sequence[Any]) -> Any:
        await self._think()
        return arguments[0]

    async def _think(self) -> None:
        await asyncio.sleep(log_uniform(self._entropy, 0.001, LONGEST_THOUGHT))


class Requester:
    """Asks for tasks, at random intervals, while there is a broker to ask."""

    def __init__(self, broker: SimulatedBroker, plan: Plan, entropy: random.Random, story: Story) -> None:
        self.ends: Counter[TaskEnd] = Counter()
        self.mixed_up: list[str] = []
        """Results that were not those of the request."""
        self._broker = broker
        self._plan = plan
        self._entropy = entropy
        self._story = story
        self._count = 0
        self._requests: list[tuple[int, TaskBroker, RequestedTask]] = []

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await asyncio.sleep(self._entropy.expovariate(1 / self._plan.request_interval))
            if self._broker.reach is Reach.UP:
                self.request()

    def request(self) -> RequestedTask:
        """Ask for one task."""
        self._count += 1
        settings = drawn_settings(self._entropy, self._count, self._plan.task_timeout)
        self._story.tell("requester", "asks for", bytes(memoryview(settings)))
        kind = self._entropy.choice(list(self._plan.slots_of))
        task = self._broker.rules.request(settings, kind, service=Answers(self._count, self._entropy))
        self._requests.append((self._count, self._broker.rules, task))
        if len(self._requests) > MANY:
            self.look_at_ends()
        return task

    def cancel_one(self) -> bool:
        """Give one task up, whatever it is at. Returns whether there was one."""
        live = [(rules, task) for _, rules, task in self._requests if task.state is not RequestState.ENDED]
        if not live:
            return False
        rules, task = self._entropy.choice(live)
        self._story.tell("requester", "cancels", task.task_id or "a request that waits")
        rules.cancel(task)
        return True

    def look_at_ends(self) -> None:
        """Count what has ended, look at the results, and forget both."""
        for number, _, task in self._requests:
            end = task._end
            if end is None:
                continue
            self.ends[end.how] += 1
            if end.result is not None:
                found = json.loads(bytes(memoryview(end.result)))
                if found != [{"json": {"request": number}}]:
                    self.mixed_up.append(f"request {number} got {found}")
        self._requests = [entry for entry in self._requests if entry[2]._end is None]
