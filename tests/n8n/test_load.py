"""A real n8n that asks for much: long tasks, large items, many executions."""

from __future__ import annotations

import asyncio
import collections
import time

import aiohttp
import pytest

from tests.n8n.process import Started, started
from tests.n8n.relay import Relay
from tests.n8n.server import HEARTBEAT, RealN8n

pytestmark = pytest.mark.timeout(600)


async def test_heartbeats_are_answered_while_tasks_use_all_processors(n8n: RealN8n) -> None:
    seconds = 2.5 * HEARTBEAT
    async with Relay(n8n.broker) as relay:
        environment = n8n.environment(N8N_RUNNERS_TASK_BROKER_URI=relay.url, N8N_RUNNERS_HEARTBEAT_INTERVAL="2")
        async with started(environment) as runner:
            await runner.logged("Registered with broker")
            start = time.monotonic()
            await asyncio.gather(*(n8n.items("spin", {"s": seconds}) for _ in range(3)))
            print(f"\n{time.monotonic() - start:.1f} s with {len(relay.pongs)} pings of n8n answered")
            assert len(relay.pongs) >= 2
            assert not runner.lines_with("Disconnected")


@pytest.mark.parametrize("megabytes", [1, 30, 100])
async def test_large_items_go_both_ways(n8n: RealN8n, runner: Started, megabytes: int) -> None:
    """One node makes them, and the next one gets them all from n8n. No heartbeat is missed meanwhile."""
    rows = megabytes * 1000
    start = time.monotonic()
    (summary,) = await n8n.items("large", {"mb": megabytes}, within=300)
    took = time.monotonic() - start
    print(
        f"\n{megabytes} MB: {took:.2f} s, " + "; ".join(line.split("\t")[-1] for line in runner.lines_with("Completed"))
    )
    assert summary == {"rows": rows, "characters": rows * 970, "numbers": rows * (rows - 1) // 2}
    assert "Couldn't parse message from runner" not in n8n.log()


async def test_two_thousand_executions_as_fast_as_ten_clients_call(n8n: RealN8n, runner: Started) -> None:
    answers: collections.Counter[tuple[int, bool]] = collections.Counter()
    numbers = iter(range(2000))
    assert await n8n.double(21) == 42

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.post(f"{n8n.url}/webhook/double", json={"n": number}) as answer:
                answers[answer.status, await answer.json() == [{"doubled": 2 * number}]] += 1

    start = time.monotonic()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as clients:
        for _ in range(10):
            clients.create_task(client(session))
    took = time.monotonic() - start
    completed = len(runner.lines_with("Completed task"))
    rejected = len(runner.lines_with("Rejected task"))
    print(f"\n2000 executions in {took:.1f} s: {2000 / took:.0f} a second; {completed} tasks, {rejected} rejected")
    assert answers == {(200, True): 2000}
    assert completed == 2001
