"""How tasks end before their time: n8n stops an execution, or the runner stops, or dies. Nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from pathlib import Path

import pytest

from tests.n8n.owner import Owner
from tests.n8n.process import Started, started
from tests.n8n.server import RealN8n
from tests.support import children_of, eventually, is_running

pytestmark = pytest.mark.timeout(300)

BUSY_AFTER = 30
"""How much processor time, in hundredths of a second, tells a task that loops from a worker that waits for one."""


@pytest.mark.needs("proc")
async def test_an_execution_that_is_stopped_in_n8n_is_stopped_here(n8n: RealN8n, owner: Owner) -> None:
    async with started(n8n.environment(N8N_RUNNERS_MAX_CONCURRENCY="1")) as runner:
        await runner.logged("Registered with broker")
        for _ in range(3):
            caller = asyncio.create_task(n8n.call("loop", {}))
            await runner.logged("Accepted task")
            await eventually(lambda: _busy_processes(runner), "the code runs")
            (busy,) = _busy_processes(runner)
            (execution,) = await owner.running()
            start = time.monotonic()
            await owner.stop(execution)
            await runner.logged("Aborted task")
            aborted = time.monotonic() - start
            await is_gone(busy)
            gone = time.monotonic() - start
            assert await n8n.double(21) == 42
            free = time.monotonic() - start
            print(
                f"\naborted after {aborted:.3f} s, process gone at {gone:.3f} s, next task done at {free:.3f} s", end=""
            )
            status, answer = await asyncio.wait_for(caller, 5)
            assert gone < 1
            assert free < 3
            print(f"; the caller got {status} {answer}; {runner.lines_with('Aborted')[-1]}")


def _busy_processes(runner: Started) -> list[int]:
    """The processes below a runner that have used a good deal of processor time, other than those that start them."""
    zygotes = children_of(runner.process.pid)
    return [pid for zygote in zygotes for pid in children_of(zygote) if _processor_time(pid) > BUSY_AFTER]


def _processor_time(pid: int) -> int:
    """How much processor time a process has used, in hundredths of a second."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


async def is_gone(pid: int) -> None:
    await eventually(lambda: not is_running(pid), "the process is gone")


async def test_a_runner_that_is_stopped_finishes_its_task_and_takes_no_other(n8n: RealN8n) -> None:
    async with started(n8n.environment()) as old, started(n8n.environment()) as new:
        await old.logged("Registered with broker")
        await new.logged("Registered with broker")
        callers = [asyncio.create_task(n8n.items("sleep", {"s": 2})) for _ in range(10)]
        await old.logged("Accepted task")
        start = time.monotonic()
        old.process.terminate()
        await old.logged("starting shutdown")
        assert await asyncio.gather(*(n8n.double(number) for number in range(5))) == [0, 2, 4, 6, 8]
        others = time.monotonic() - start
        assert await asyncio.gather(*callers) == [[{"slept": True}]] * 10
        assert await old.ended(within=10) == 0
        print(f"\nexit code 0 after {time.monotonic() - start:.2f} s; five others were done after {others:.2f} s")
        assert old.lines_with("Failed task") == []


async def test_runners_are_replaced_under_load_and_nobody_notices(n8n: RealN8n) -> None:
    """One runner after the other is started, and the one before it stopped, while ten clients call."""
    numbers = itertools.count()
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            number = next(numbers)
            assert await n8n.double(number) == 2 * number

    runners: list[Started] = []
    async with contextlib.AsyncExitStack() as stack:
        runners.append(await stack.enter_async_context(started(n8n.environment())))
        await runners[0].logged("Registered with broker")
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(client())
            for _ in range(5):
                runners.append(await stack.enter_async_context(started(n8n.environment())))
                await runners[-1].logged("Registered with broker")
                await asyncio.sleep(1)
                runners[-2].process.terminate()
                assert await runners[-2].ended(within=10) == 0
            over.set()
    completed = [len(runner.lines_with("Completed task")) for runner in runners]
    rejected = sum(len(runner.lines_with("Rejected task")) for runner in runners)
    print(f"\n{sum(completed)} executions, by each runner: {completed}; {rejected} accepts were rejected")


@pytest.mark.needs("proc")
async def test_a_runner_that_is_killed_leaves_no_process_and_its_callers_are_told(n8n: RealN8n, owner: Owner) -> None:
    before = await owner.newest_failure()
    async with started(n8n.environment(), exit_code=-signal.SIGKILL) as runner:
        await runner.logged("Registered with broker")
        caller = asyncio.create_task(n8n.call("loop", {}))
        await eventually(lambda: _busy_processes(runner), "the code runs")
        (busy,) = _busy_processes(runner)
        start = time.monotonic()
        runner.process.kill()
        await is_gone(busy)
        gone = time.monotonic() - start
        status, _ = await caller
        told = time.monotonic() - start
        failure = await owner.failure_after(before)
        print(f"\nprocess gone at {gone:.3f} s; status {status} at {told:.3f} s: {failure.message!r}")
        assert status == 500
        assert gone < 1
        assert told < 2


async def test_an_idle_runner_stops_when_it_is_told_to(n8n: RealN8n) -> None:
    async with started(n8n.environment(N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT="2")) as runner:
        await runner.logged("Registered with broker")
        await asyncio.sleep(1.5)
        assert await n8n.double(21) == 42
        start = time.monotonic()
        assert await runner.ended(within=10) == 0
        took = time.monotonic() - start
        print(f"\nexit code 0 {took:.2f} s after its last task")
        assert 1.8 < took < 4
