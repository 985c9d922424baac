"""Who asks the broker for tasks, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

from runner.broker import RequestedTask, TaskBroker, TaskEnd
from runner.broker.tasks import RequestState
from tests.simulation.executor import drawn_settings
from tests.simulation.n8n import Reach, SimulatedBroker
from tests.simulation.plan import Plan
from tests.simulation.story import Story

MANY = 500
"""So many requests are remembered before those that have ended are counted and forgotten."""


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
        task = self._broker.rules.request(settings, self._entropy.choice(list(self._plan.slots_of)))
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
