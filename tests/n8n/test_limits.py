"""Tasks that go beyond a limit: each is told which one, at once, and nobody else is."""

from __future__ import annotations

import json
import time

import pytest

from tests.n8n.owner import Failure, Owner
from tests.n8n.process import Started, started
from tests.n8n.server import RealN8n
from tests.support import eventually

pytestmark = pytest.mark.timeout(300)


AT_ONCE = 5.0
"""Within how many seconds an error has to be there; what hangs takes minutes. Mostly it takes milliseconds."""


async def failure_of(n8n: RealN8n, owner: Owner, path: str, body: str) -> tuple[Failure, float]:
    """Call a flow that fails. Returns what n8n shows of it, and after how long the caller knew."""
    before = await owner.newest_failure()
    start = time.monotonic()
    status, _ = await n8n.post(path, body)
    took = time.monotonic() - start
    failure = await owner.failure_after(before)
    print(f"\n{path}: {took:.2f} s, {failure.message!r}: {failure.description[:300]!r}")
    assert status == 500
    return failure, took


async def test_too_much_memory_is_told_as_such(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_TASK_MEMORY_LIMIT="64")) as small:
        await small.logged("Registered with broker")
        assert await n8n.items("hungry", {"mb": 16}) == [{"length": 16 * 1024 * 1024}]
        failure, took = await failure_of(n8n, owner, "hungry", '{"mb": 500}')
        assert failure.message == "Out of memory: a task may take 64 MiB"
        assert took < AT_ONCE
        assert await n8n.double(21) == 42


async def test_our_timeout_comes_first_and_says_so(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_TASK_TIMEOUT="2", N8N_RUNNERS_MAX_CONCURRENCY="1")) as hasty:
        await hasty.logged("Registered with broker")
        failure, took = await failure_of(n8n, owner, "loop", "{}")
        assert failure.message == "Task execution timed out after 2 seconds"
        assert took < 3
        assert await n8n.double(21) == 42  # its only slot is free again


async def test_many_prints_are_bounded(n8n: RealN8n, runner: Started) -> None:
    assert await n8n.items("prints-much", {}) == []
    await eventually(lambda: "more print statements" in n8n.log(), "n8n logs that there were more")
    print("\n" + [line for line in n8n.log().splitlines() if "more print statements" in line][-1])


async def test_items_larger_than_the_memory_of_a_task(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_TASK_MEMORY_LIMIT="16")) as small:
        await small.logged("Registered with broker")
        failure, took = await failure_of(n8n, owner, "surrogate", json.dumps({"text": "x" * 14_000_000}))
        assert "memory" in failure.message
        assert took < AT_ONCE


async def test_a_result_larger_than_a_message_may_be(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_MAX_PAYLOAD="1000000")) as small:
        await small.logged("Registered with broker")
        failure, took = await failure_of(n8n, owner, "huge", '{"mb": 2}')
        assert "The result is too large" in failure.message
        assert took < AT_ONCE
        assert not small.lines_with("Disconnected")


async def test_a_result_larger_than_n8n_can_read(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_TASK_MEMORY_LIMIT="4096")) as runner:
        await runner.logged("Registered with broker")
        failure, took = await failure_of(n8n, owner, "huge", '{"mb": 600}')
        assert "The result is too large" in failure.message
        assert took < 30  # it is made and looked through first
        assert not runner.lines_with("Disconnected")
        assert await n8n.double(21) == 42


async def test_items_larger_than_a_message_may_be(n8n: RealN8n, owner: Owner) -> None:
    """They cost the connection, by the rules of WebSockets, but neither the runner nor the caller's time."""
    async with started(n8n.environment(N8N_RUNNERS_MAX_PAYLOAD="1000000")) as small:
        await small.logged("Registered with broker")
        _, took = await failure_of(n8n, owner, "surrogate", json.dumps({"text": "x" * 2_000_000}))
        assert took < AT_ONCE
        await small.logged("a message was larger than allowed (code 1009")
        await small.logged("Registered with broker", within=7)
        assert await n8n.double(21) == 42


async def test_deep_values_go_both_ways(n8n: RealN8n, runner: Started) -> None:
    status, document = await n8n.post("deep", '{"levels": 980}')
    assert (status, document.count('{"a":')) == (200, 980)
    deep = '{"a":' * 900 + "1" + "}" * 900
    status, document = await n8n.post("deep-input", deep)
    assert (status, document.count('{"a":')) == (200, 900)


@pytest.mark.parametrize("levels", [1000, 1800])
async def test_items_that_are_too_deep(n8n: RealN8n, owner: Owner, runner: Started, levels: int) -> None:
    failure, took = await failure_of(n8n, owner, "deep-input", '{"a":' * levels + "1" + "}" * levels)
    assert "The settings of the task cannot be used: the items are nested too deeply" in failure.message
    assert took < AT_ONCE
