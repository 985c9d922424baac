"""The simulated event loop: asyncio's own parts work on its time, and it knows when nothing can happen any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.simulation.clock import SimulatedClock
from tests.simulation.loop import Deadlock, Livelock, SimulatedLoop


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    made = SimulatedLoop()
    yield made
    made.close()


def test_an_hour_takes_no_time(loop: SimulatedLoop) -> None:
    started = time.monotonic()
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() == 3600
    assert time.monotonic() - started < 1


def test_timeouts_are_on_simulated_time(loop: SimulatedLoop) -> None:
    async def wait() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(wait()) == 15


def test_timers_ring_in_order_and_those_of_one_moment_in_the_order_in_which_they_were_set(loop: SimulatedLoop) -> None:
    rung: list[str] = []
    for name, delay in (("c", 2.0), ("a", 1.0), ("b", 1.0)):
        loop.call_later(delay, rung.append, name)
    loop.call_later(1.0, rung.append, "never").cancel()
    loop.call_later(3.0, loop.stop)
    loop.run_forever()
    assert rung == ["a", "b", "c"]


def test_waiting_for_what_cannot_happen_is_a_deadlock(loop: SimulatedLoop) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"\['the one who waits'\]"):
        loop.run_until_complete(loop.create_task(wait(), name="the one who waits"))
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)


def test_time_that_does_not_go_on_is_a_livelock(loop: SimulatedLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.loop.MAX_CALLS_AT_ONCE", 100)

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(Livelock):
        loop.run_forever()


def test_an_exception_that_reaches_nobody_is_noted(loop: SimulatedLoop) -> None:
    loop.call_soon(lambda: 1 / 0)
    loop.run_until_complete(asyncio.sleep(1))
    assert len(loop.problems) == 1
    assert "ZeroDivisionError" in loop.problems[0]


def test_the_clock_shows_the_timers_that_are_pending(loop: SimulatedLoop) -> None:
    clock = SimulatedClock(loop)
    rung: list[float] = []
    clock.call_later(1, lambda: rung.append(clock.now()))
    second = clock.call_later(2, lambda: rung.append(clock.now()))
    assert len(clock.timers) == 2
    loop.run_until_complete(asyncio.sleep(1.5))
    assert (rung, len(clock.timers)) == ([1.0], 1)
    second.cancel()
    second.cancel()
    assert not clock.timers
    assert clock.wall() - clock.now() == 1_700_000_000
