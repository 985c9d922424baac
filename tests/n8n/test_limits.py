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
        before = await owner.newest_failure()
        start = time.monotonic()
        status, _ = await n8n.call("hungry", {"mb": 500})
        took = time.monotonic() - start
        failure = await owner.failure_after(before)
        print(f"\n{took:.2f} s, {failure.message!r}: {failure.description[:300]!r}")
        assert status == 500
        assert took < AT_ONCE
        assert "memory" in failure.message.lower() + failure.description.lower()
        assert await n8n.double(21) == 42


async def test_our_timeout_comes_first_and_says_so(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_TASK_TIMEOUT="2", N8N_RUNNERS_MAX_CONCURRENCY="1")) as hasty:
        await hasty.logged("Registered with broker")
        before = await owner.newest_failure()
        start = time.monotonic()
        status, _ = await n8n.call("loop", {})
        took = time.monotonic() - start
        failure = await owner.failure_after(before)
        print(f"\n{took:.2f} s, {failure.message!r}")
        assert status == 500
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
        _failure, took = await failure_of(n8n, owner, "huge", '{"mb": 2}')
        assert took < AT_ONCE
        assert not small.lines_with("Disconnected")


async def test_a_result_larger_than_n8n_can_read(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_TASK_MEMORY_LIMIT="4096")) as runner:
        await runner.logged("Registered with broker")
        _failure, took = await failure_of(n8n, owner, "huge", '{"mb": 600}')
        assert took < 20
        assert not runner.lines_with("Disconnected")
        assert await n8n.double(21) == 42


async def test_items_larger_than_a_message_may_be(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_MAX_PAYLOAD="1000000")) as small:
        await small.logged("Registered with broker")
        _failure, took = await failure_of(n8n, owner, "surrogate", json.dumps({"text": "x" * 2_000_000}))
        print("\n".join(small.lines))
        assert took < AT_ONCE
        await small.logged("Registered with broker")
        assert await n8n.double(21) == 42


@pytest.mark.parametrize("levels", [900, 980])
async def test_deep_values_go_both_ways(n8n: RealN8n, runner: Started, levels: int) -> None:
    status, document = await n8n.post("deep", json.dumps({"levels": levels}))
    assert (status, document.count('{"a":')) == (200, levels)
    status, document = await n8n.post("deep-input", document[1:-1])
    assert (status, document.count('{"a":')) == (200, levels)


async def test_items_that_are_too_deep(n8n: RealN8n, owner: Owner, runner: Started) -> None:
    _failure, took = await failure_of(n8n, owner, "deep-input", '{"a":' * 1800 + "1" + "}" * 1800)
    assert took < AT_ONCE
