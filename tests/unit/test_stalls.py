"""The watch of the event loop: it sees what holds the loop up, says where, and costs an idle process nothing."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from runner import Count, TaskRunner, TaskRunnerConfig
from runner.observe.stalls import DOZES, LOOKS, SHORT_WAITS, StallWatch

LIMIT = 0.1


def run_watched(main: object, stalls: list[float]) -> None:
    with StallWatch(stalls.append, LIMIT) as watch, asyncio.Runner(loop_factory=watch.new_loop) as runner:
        runner.run(main())  # type: ignore[operator]


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the watch has logged; asyncio itself has something to say of slow steps, too."""
    return [record.message for record in caplog.records if record.name == "runner.observe.stalls"]


async def stands_still() -> None:
    await asyncio.sleep(0)
    time.sleep(4 * LIMIT)
    await asyncio.sleep(0)


def test_a_stall_is_counted_and_said_with_the_place(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    stalls: list[float] = []
    run_watched(stands_still, stalls)
    [took] = stalls
    assert took >= 4 * LIMIT
    where, how_long = messages(caplog)
    assert "in stands_still (" in where
    assert __file__ in where
    assert "\n" not in where
    assert how_long.startswith("The event loop stood still for 0.")


def test_waiting_is_no_stall_and_neither_is_work_in_small_pieces(caplog: pytest.LogCaptureFixture) -> None:
    async def busy_and_idle() -> None:
        end = time.monotonic() + 3 * LIMIT
        while time.monotonic() < end:
            time.sleep(LIMIT / 20)
            await asyncio.sleep(0)
        await asyncio.sleep(2 * LIMIT)

    stalls: list[float] = []
    run_watched(busy_and_idle, stalls)
    assert stalls == []
    assert messages(caplog) == []


def test_nobody_looks_after_a_loop_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(StallWatch, "_look", lambda _: looks.append(time.monotonic()))

    async def idle() -> None:
        await asyncio.sleep(5 * LIMIT)

    run_watched(idle, [])
    assert len(looks) <= LOOKS


def test_what_is_done_now_and_then_does_not_have_the_loop_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(StallWatch, "_look", lambda _: looks.append(time.monotonic()))

    async def mostly_idle() -> None:
        for _ in range(4):
            await asyncio.sleep(1.5 * LIMIT)
            await asyncio.sleep(0)

    run_watched(mostly_idle, [])
    assert len(looks) <= LOOKS


def test_a_loop_that_was_idle_and_has_much_to_do_is_looked_after_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def idle_and_then_busy() -> None:
        await asyncio.sleep(3 * LIMIT)
        for _ in range(2 * SHORT_WAITS):
            await asyncio.sleep(0)
        await stands_still()

    stalls: list[float] = []
    run_watched(idle_and_then_busy, stalls)
    assert len(stalls) == 1
    where, _ = messages(caplog)
    assert "in stands_still (" in where


def test_what_holds_up_an_idle_loop_is_found_if_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    async def idle_and_then_stuck() -> None:
        await asyncio.sleep(3 * LIMIT)
        time.sleep((DOZES + 2) * LIMIT)

    run_watched(idle_and_then_stuck, [])
    where, _ = messages(caplog)
    assert "in idle_and_then_stuck (" in where


def test_a_runner_counts_the_stalls_that_it_is_told_of() -> None:
    runner = TaskRunner(TaskRunnerConfig(grant_token="x"))
    runner.note_stall(0.7)
    assert runner.counters[Count.LOOP_STALLS] == 1
