"""An executor without processes: what a task does is what its settings say, on simulated time."""

from __future__ import annotations

import asyncio
import json
import random
from enum import Enum
from typing import Any

from msgspec import Raw

from runner import SandboxFailed, TaskContext, TaskFailed, TaskRequest
from tests.simulation.plan import Plan, Trouble, log_uniform, weighted
from tests.simulation.story import Story


class InjectedFailure(Exception):
    """What a simulated executor raises where it must not raise."""


class Behaviour(Enum):
    """What a task does."""

    INSTANT = "takes no time"
    BRIEF = "takes a moment"
    LONG = "takes long, perhaps longer than it may"
    FAILS = "fails"
    PRINTS = "prints as it goes"
    ASKS = "asks n8n several things at once, and returns what n8n says"
    STUBBORN = "takes its time to die when it is cancelled"
    RAISES = "its executor raises what it must not"
    RETURNS_WRONG = "its executor returns what it must not"


BEHAVIOURS: dict[Behaviour, float] = {
    Behaviour.INSTANT: 4,
    Behaviour.BRIEF: 6,
    Behaviour.LONG: 3,
    Behaviour.FAILS: 2,
    Behaviour.PRINTS: 2,
    Behaviour.ASKS: 2,
    Behaviour.STUBBORN: 1,
    Behaviour.RAISES: 0.2,
    Behaviour.RETURNS_WRONG: 0.2,
}

CLOSING_SHARE = 0.1
"""How long the executor takes to close, as a share of the time that it takes to start."""

DATA_WANTED = Raw(b'{"dataOfNodes":[],"prevNode":false,"input":{"include":false},"env":false}')

MAX_STUBBORNNESS = 3.0
"""How long a task that was cancelled may take to be gone, in seconds."""


def drawn_settings(entropy: random.Random, number: int, task_timeout: float) -> Raw:
    """The settings of one request: the executor does what they say."""
    behaviour = weighted(entropy, BEHAVIOURS)
    longest = 3 * task_timeout if behaviour is Behaviour.LONG else 2.0
    return Raw(
        json.dumps(
            {
                "request": number,
                "behaviour": behaviour.name,
                "seconds": round(log_uniform(entropy, 0.001, longest), 6),
                "prints": entropy.randrange(1, 6),
                "stubbornness": round(entropy.random() * MAX_STUBBORNNESS, 6),
            }
        ).encode()
    )


class SimulatedExecutor:
    """Runs simulated tasks. `failing` says what goes wrong with the executor itself, once."""

    def __init__(self, plan: Plan, story: Story, entropy: random.Random) -> None:
        self._plan = plan
        self._story = story
        self._entropy = entropy
        self.failing: Trouble | None = None
        self.ready = False
        self.ready_since = 0.0
        self.running = 0
        self.crashes = 0
        """How many exceptions it has caused that the runner has to count as crashes."""

    async def start(self) -> None:
        await asyncio.sleep(self._plan.executor_time)
        if self.failing is Trouble.EXECUTOR_NOT_READY:
            self.failing = None
            self._story.count(Trouble.EXECUTOR_NOT_READY.name)
            raise SandboxFailed("this simulated machine has no sandbox")
        self.ready = True
        self.ready_since = asyncio.get_running_loop().time()
        self._story.tell("executor", "is ready")

    async def close(self) -> None:
        self.ready = False
        await asyncio.sleep(CLOSING_SHARE * self._plan.executor_time)
        if self.failing is Trouble.EXECUTOR_STUCK_CLOSING:
            self.failing = None
            self._injected(Trouble.EXECUTOR_STUCK_CLOSING)
            raise InjectedFailure("the executor cannot be closed")

    async def execute(self, request: TaskRequest) -> Raw:
        orders = json.loads(bytes(memoryview(request.settings)))
        self.running += 1
        try:
            return await self._obey(request, orders)
        except asyncio.CancelledError:
            if orders.get("behaviour") == Behaviour.STUBBORN.name:
                await asyncio.sleep(orders["stubbornness"])
            raise
        finally:
            self.running -= 1

    async def function(self, orders: dict[str, Any], task: TaskContext) -> Raw:
        """The same as a coroutine function, for the second type of tasks. It says so when it returns what is wrong."""
        result = await self.execute(TaskRequest(task.task_id, Raw(json.dumps(orders).encode()), task._print))
        if not isinstance(result, Raw):
            raise InjectedFailure("as it was told to")
        return result

    async def _obey(self, request: TaskRequest, orders: dict[str, Any]) -> Raw:
        if "behaviour" not in orders:
            raise TaskFailed("These settings are not of a requester")
        behaviour = Behaviour[orders["behaviour"]]
        if behaviour is Behaviour.PRINTS:
            for number in range(orders["prints"]):
                request.print(Raw(json.dumps([orders["request"], number]).encode()))
                await asyncio.sleep(orders["seconds"] / orders["prints"])
        elif behaviour is Behaviour.ASKS:
            return await _asked(request, orders)
        elif behaviour is not Behaviour.INSTANT:
            await asyncio.sleep(orders["seconds"])
        if behaviour is Behaviour.FAILS:
            raise TaskFailed("It failed", "as it was told to", lineNumber=1)
        if behaviour is Behaviour.RAISES:
            self._injected(Trouble.EXECUTOR_RAISES)
            raise InjectedFailure("as it was told to")
        if behaviour is Behaviour.RETURNS_WRONG:
            self._injected(Trouble.EXECUTOR_RETURNS_WRONG)
            return "no JSON at all"  # type: ignore[return-value]
        return Raw(json.dumps([{"json": {"request": orders["request"]}}]).encode())

    def _injected(self, trouble: Trouble) -> None:
        self.crashes += 1
        self._story.count(trouble.name)


async def _asked(request: TaskRequest, orders: dict[str, Any]) -> Raw:
    """What n8n says of its data and of calls, all asked at once; whoever got another's answer shows."""
    number, count = orders["request"], orders["prints"]
    calls = [request.n8n.call("helpers.httpRequest", Raw(b"[[%d,%d]]" % (number, call))) for call in range(count)]
    data, *answers = await asyncio.gather(request.n8n.data(DATA_WANTED), *calls)
    if [json.loads(bytes(answer)) for answer in answers] != [[number, call] for call in range(count)]:
        raise InjectedFailure(f"request {number} got the answers {answers}")
    return Raw(json.dumps([{"json": {"request": json.loads(bytes(data))["request"]}}]).encode())
