"""Owners of coroutines, and time: nothing outlives its scope, and an alarm rings once, when it was last told to."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runner.clock import Alarm, SystemClock, Timeouts
from runner.scope import Scope
from tests.support import ManualClock, settle

Crashes = list[tuple[str, Exception]]


def scope_with_crashes() -> tuple[Scope, Crashes]:
    """A scope, and the list of the crashes that it has reported."""
    crashes: Crashes = []
    return Scope(lambda name, error: crashes.append((name, error))), crashes


async def forever() -> None:
    await asyncio.Event().wait()


def slow_to_clean_up(cleaned: list[str], name: str, allowed: asyncio.Event) -> Coroutine[Any, Any, None]:
    """A coroutine that ends some time after it was cancelled: when it is allowed to."""

    async def run() -> None:
        try:
            await forever()
        finally:
            await allowed.wait()
            cleaned.append(name)

    return run()


# Scope


async def test_a_coroutine_runs_in_its_scope_and_leaves_it_at_its_end() -> None:
    scope, crashes = scope_with_crashes()
    ran: list[str] = []

    async def run() -> None:
        ran.append("yes")

    task = scope.spawn(run(), "the name")
    assert (len(scope), task.get_name()) == (1, "the name")
    await task
    await settle()
    assert (ran, len(scope), crashes) == (["yes"], 0, [])


async def test_cancel_cancels_all_and_returns_when_the_last_has_ended() -> None:
    scope, _ = scope_with_crashes()
    cleaned: list[str] = []
    first, second = asyncio.Event(), asyncio.Event()
    tasks = [
        scope.spawn(slow_to_clean_up(cleaned, "first", first), "first"),
        scope.spawn(slow_to_clean_up(cleaned, "second", second), "second"),
        scope.spawn(forever(), "third"),
    ]
    await settle()
    cancelling = asyncio.get_running_loop().create_task(scope.cancel())
    await settle()
    assert ([task.done() for task in tasks], cancelling.done()) == ([False, False, True], False)
    second.set()
    await settle()
    assert (cleaned, cancelling.done(), len(scope)) == (["second"], False, 1)
    first.set()
    await cancelling
    assert (cleaned, len(scope)) == (["second", "first"], 0)
    assert all(task.done() for task in tasks)


async def test_cancel_ends_coroutines_that_have_not_begun() -> None:
    scope, crashes = scope_with_crashes()
    task = scope.spawn(forever(), "never begun")
    await scope.cancel()
    assert (task.cancelled(), crashes) == (True, [])


async def test_a_coroutine_that_takes_the_cancellation_for_its_normal_end_is_awaited_and_no_crash() -> None:
    scope, crashes = scope_with_crashes()
    steps: list[int] = []

    async def stubborn() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            for step in range(5):
                await asyncio.sleep(0)
                steps.append(step)

    scope.spawn(stubborn(), "stubborn")
    await settle()
    await scope.cancel()
    assert (steps, crashes) == ([0, 1, 2, 3, 4], [])


@pytest.mark.parametrize("how", ["by itself", "cancelled", "cancelled before it began", "crashed"])
async def test_the_end_of_a_coroutine_is_told_once_however_it_ends_when_it_has_left_the_scope(how: str) -> None:
    scope, crashes = scope_with_crashes()
    told: list[tuple[int, int]] = []
    goes_on = asyncio.Event()

    async def run() -> None:
        await goes_on.wait()
        if how == "crashed":
            raise RuntimeError(how)

    task = scope.spawn(run(), "told of", lambda: told.append((len(scope), len(crashes))))
    if how != "cancelled before it began":
        await settle()
    assert told == []
    if how.startswith("cancelled"):
        task.cancel()
    goes_on.set()
    await settle()
    assert told == [(0, 1 if how == "crashed" else 0)]


async def test_cancel_on_an_empty_scope_returns() -> None:
    scope, _ = scope_with_crashes()
    await scope.cancel()
    await scope.cancel()
    assert len(scope) == 0


async def test_nothing_can_start_in_a_cancelled_scope() -> None:
    scope, _ = scope_with_crashes()
    await scope.cancel()
    ran: list[str] = []

    async def run() -> None:
        ran.append("it must not")

    with pytest.raises(RuntimeError, match="late was to start in a scope that has been cancelled"):
        scope.spawn(run(), "late")
    gc.collect()  # a coroutine that was never awaited would warn here, and warnings are errors
    await settle()
    assert (ran, len(scope)) == ([], 0)


async def test_nothing_can_start_while_a_scope_is_being_cancelled() -> None:
    scope, crashes = scope_with_crashes()

    async def spawns_in_its_cleanup() -> None:
        try:
            await forever()
        finally:
            scope.spawn(forever(), "late")

    scope.spawn(spawns_in_its_cleanup(), "parent")
    await settle()
    await scope.cancel()
    ((name, error),) = crashes
    assert (name, type(error), len(scope)) == ("parent", RuntimeError, 0)


async def test_a_scope_hears_of_the_exceptions_of_its_coroutines() -> None:
    scope, crashes = scope_with_crashes()

    async def fail() -> None:
        raise ValueError("a bug")

    scope.spawn(fail(), "failing")
    other = scope.spawn(forever(), "other")
    await settle()
    ((name, error),) = crashes
    assert (name, repr(error)) == ("failing", "ValueError('a bug')")
    assert not other.done(), "the others go on"
    await scope.cancel()


async def test_a_scope_hears_of_an_exception_during_cancellation() -> None:
    scope, crashes = scope_with_crashes()

    async def fail_to_clean_up() -> None:
        try:
            await forever()
        finally:
            raise OSError("in the cleanup")

    scope.spawn(fail_to_clean_up(), "failing")
    await settle()
    await scope.cancel()
    assert [(name, str(error)) for name, error in crashes] == [("failing", "in the cleanup")]


async def test_a_scope_does_not_call_a_cancellation_a_crash() -> None:
    scope, crashes = scope_with_crashes()

    async def ends_cancelled() -> None:
        raise asyncio.CancelledError

    from_outside = scope.spawn(forever(), "from outside")
    scope.spawn(ends_cancelled(), "by itself")
    await settle()
    from_outside.cancel()
    await settle()
    assert (crashes, len(scope)) == ([], 0)


async def test_cancelling_the_canceller_waits_to_the_end_and_is_not_lost() -> None:
    scope, _ = scope_with_crashes()
    cleaned: list[str] = []
    allowed = asyncio.Event()
    scope.spawn(slow_to_clean_up(cleaned, "slow", allowed), "slow")
    await settle()
    canceller = asyncio.get_running_loop().create_task(scope.cancel())
    await settle()
    for _ in range(3):
        canceller.cancel()
        await settle()
        assert not canceller.done()
    allowed.set()
    with pytest.raises(asyncio.CancelledError):
        await canceller
    assert (canceller.cancelled(), cleaned, len(scope)) == (True, ["slow"], 0)


async def test_a_timeout_around_cancel_is_heard_after_the_last_coroutine_has_ended() -> None:
    scope, _ = scope_with_crashes()
    cleaned: list[str] = []
    allowed = asyncio.Event()
    scope.spawn(slow_to_clean_up(cleaned, "slow", allowed), "slow")
    await settle()
    asyncio.get_running_loop().call_later(0.02, allowed.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await scope.cancel()
    assert cleaned == ["slow"]


async def test_two_cancellers_both_wait_to_the_end() -> None:
    scope, _ = scope_with_crashes()
    cleaned: list[str] = []
    allowed = asyncio.Event()
    scope.spawn(slow_to_clean_up(cleaned, "slow", allowed), "slow")
    await settle()
    cancellers = [asyncio.get_running_loop().create_task(scope.cancel()) for _ in range(2)]
    await settle()
    assert [canceller.done() for canceller in cancellers] == [False, False]
    allowed.set()
    await asyncio.gather(*cancellers)
    assert cleaned == ["slow"]


async def test_join_waits_for_all_also_for_those_that_start_meanwhile() -> None:
    scope, _ = scope_with_crashes()
    ended: list[str] = []
    gates = {name: asyncio.Event() for name in ("parent", "child")}

    async def run(name: str) -> None:
        await gates[name].wait()
        if name == "parent":
            scope.spawn(run("child"), "child")
        ended.append(name)

    scope.spawn(run("parent"), "parent")
    joining = asyncio.get_running_loop().create_task(scope.join())
    await settle()
    assert not joining.done()
    gates["parent"].set()
    await settle()
    assert (ended, joining.done()) == (["parent"], False)
    gates["child"].set()
    await joining
    assert ended == ["parent", "child"]


async def test_join_on_an_empty_scope_returns_and_the_scope_stays_open() -> None:
    scope, _ = scope_with_crashes()
    await scope.join()
    task = scope.spawn(forever(), "later")
    await scope.cancel()
    assert task.cancelled()


async def test_cancelling_a_joiner_leaves_the_coroutines_alone() -> None:
    scope, _ = scope_with_crashes()
    task = scope.spawn(forever(), "goes on")
    joining = asyncio.get_running_loop().create_task(scope.join())
    await settle()
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert not task.done()
    await scope.cancel()


async def test_join_does_not_raise_what_a_coroutine_raised() -> None:
    scope, crashes = scope_with_crashes()

    async def fail() -> None:
        raise ValueError("a bug")

    scope.spawn(fail(), "failing")
    await scope.join()
    await settle()
    assert [name for name, _ in crashes] == ["failing"]


# Alarm


def alarm_with_rings(clock: ManualClock) -> tuple[Alarm, list[float]]:
    """An alarm, and the list of the times at which it has rung."""
    rings: list[float] = []
    return Alarm(clock, lambda: rings.append(clock.now())), rings


async def test_an_alarm_rings_once_after_its_delay(clock: ManualClock) -> None:
    alarm, rings = alarm_with_rings(clock)
    assert (rings, alarm.is_set) == ([], False)
    alarm.set(5)
    assert (rings, alarm.is_set) == ([], True)
    await clock.advance(4.999)
    assert (rings, alarm.is_set) == ([], True)
    await clock.advance(0.001)
    assert (rings, alarm.is_set) == ([5.0], False)
    await clock.advance(100)
    assert rings == [5.0]


@pytest.mark.parametrize("second", [2.0, 8.0])
async def test_setting_an_alarm_again_forgets_the_earlier_time(clock: ManualClock, second: float) -> None:
    alarm, rings = alarm_with_rings(clock)
    alarm.set(5)
    await clock.advance(1)
    alarm.set(second)
    assert len(clock.pending) == 1
    await clock.advance(second - 0.001)
    assert (rings, alarm.is_set) == ([], True)
    await clock.advance(100)
    assert (rings, alarm.is_set) == ([1 + second], False)


async def test_an_alarm_that_is_put_off_again_and_again_makes_one_call_and_then_one_for_the_rest(
    clock: ManualClock,
) -> None:
    alarm, rings = alarm_with_rings(clock)
    for _ in range(4):
        alarm.set(5)
        assert clock.pending == [5 - clock.now()]
        await clock.advance(1)
    await clock.advance(1)
    assert (rings, clock.pending) == ([], [3.0])
    alarm.stop()
    assert (alarm.is_set, clock.pending) == (False, [])
    alarm.set(1)
    await clock.advance(1)
    assert rings == [6.0]


async def test_a_stopped_alarm_does_not_ring_and_can_be_set_again(clock: ManualClock) -> None:
    alarm, rings = alarm_with_rings(clock)
    alarm.set(5)
    alarm.stop()
    assert (alarm.is_set, clock.pending) == (False, [])
    await clock.advance(10)
    assert rings == []
    alarm.set(1)
    await clock.advance(1)
    assert rings == [11.0]


async def test_stopping_an_alarm_that_is_not_set_does_nothing(clock: ManualClock) -> None:
    alarm, rings = alarm_with_rings(clock)
    alarm.stop()
    alarm.set(1)
    await clock.advance(1)
    alarm.stop()
    await clock.advance(1)
    assert rings == [1.0]


async def test_an_alarm_can_be_set_again_by_what_it_calls(clock: ManualClock) -> None:
    rings: list[float] = []

    def ring() -> None:
        assert not alarm.is_set
        rings.append(clock.now())
        if len(rings) < 3:
            alarm.set(5)

    alarm = Alarm(clock, ring)
    alarm.set(5)
    await clock.advance(100)
    assert (rings, alarm.is_set) == ([5.0, 10.0, 15.0], False)


@pytest.mark.parametrize("delay", [0, -1])
async def test_an_alarm_without_a_delay_rings_soon_and_not_at_once(clock: ManualClock, delay: float) -> None:
    alarm, rings = alarm_with_rings(clock)
    alarm.set(delay)
    assert rings == []
    await clock.advance(0)
    assert rings == [0.0]


# The machine's own clock


async def first_ring(set_alarm: Callable[[Alarm], None]) -> float:
    """How long it takes until an alarm on the machine's clock rings."""
    rung = asyncio.Event()
    alarm = Alarm(SystemClock(), rung.set)
    began = time.monotonic()
    set_alarm(alarm)
    async with asyncio.timeout(10):
        await rung.wait()
    assert not alarm.is_set
    return time.monotonic() - began


async def test_an_alarm_rings_on_the_machines_clock() -> None:
    assert await first_ring(lambda alarm: alarm.set(0.02)) >= 0.019


async def test_an_alarm_that_was_set_again_rings_at_the_later_time() -> None:
    def set_twice(alarm: Alarm) -> None:
        alarm.set(600)
        alarm.set(0.01)

    assert await first_ring(set_twice) < 10


async def test_an_alarm_that_was_stopped_does_not_ring_on_the_machines_clock() -> None:
    rings: list[str] = []
    stopped = Alarm(SystemClock(), lambda: rings.append("stopped"))
    stopped.set(0)
    stopped.stop()
    await first_ring(lambda alarm: alarm.set(0.005))
    assert rings == []


def test_the_machines_clock_tells_the_time_without_an_event_loop() -> None:
    clock = SystemClock()
    assert 0 <= clock.now() - time.monotonic() + 10 <= 10
    assert abs(clock.wall() - time.time()) < 10
    assert clock.now() <= clock.now()


def test_the_machines_clock_calls_back_only_on_an_event_loop() -> None:
    with pytest.raises(RuntimeError):
        SystemClock().call_later(0, lambda: None)


async def test_cancel_waits_for_what_is_to_follow_a_coroutine_that_has_just_ended() -> None:
    heard: list[str] = []
    scope = Scope(lambda name, error: heard.append(name))
    ending = asyncio.get_running_loop().create_future()

    async def end_and_fail() -> None:
        ending.set_result(None)  # whoever waits for this goes on before the end of this coroutine is known
        raise RuntimeError

    scope.spawn(end_and_fail(), "just ended")
    await ending
    await scope.cancel()
    assert (len(scope), heard) == (0, ["just ended"])


async def test_coroutines_are_cancelled_in_the_order_in_which_they_were_started() -> None:
    scope, ended = Scope(lambda name, error: None), []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    for number in range(50):
        scope.spawn(wait(number), f"number {number}")
    await asyncio.sleep(0)
    await scope.cancel()
    assert ended == list(range(50))


# Timeouts


class Watched:
    """What has a timeout, and notes when it comes."""

    def __init__(self, clock: ManualClock) -> None:
        self.times: list[float] = []
        self._clock = clock

    def ring(self) -> None:
        self.times.append(self._clock.now())


async def test_timeouts_come_after_the_delay_each_once_from_one_timer(clock: ManualClock) -> None:
    timeouts, watched = Timeouts(clock, 5), [Watched(clock) for _ in range(3)]
    for each in watched:
        timeouts.set(each.ring)
        assert len(clock.pending) == 1
        await clock.advance(1)
    await clock.advance(100)
    assert [each.times for each in watched] == [[5.0], [6.0], [7.0]]
    assert clock.pending == []


async def test_a_timeout_that_is_set_again_comes_later_and_those_after_it_in_their_turn(clock: ManualClock) -> None:
    timeouts, first, second = Timeouts(clock, 5), Watched(clock), Watched(clock)
    timeouts.set(first.ring)
    await clock.advance(1)
    timeouts.set(second.ring)
    await clock.advance(1)
    timeouts.set(first.ring)
    await clock.advance(100)
    assert (first.times, second.times) == ([7.0], [6.0])


async def test_a_timeout_that_is_stopped_does_not_come_and_the_next_one_does(clock: ManualClock) -> None:
    timeouts, first, second = Timeouts(clock, 5), Watched(clock), Watched(clock)
    timeouts.set(first.ring)
    timeouts.stop(first.ring)
    timeouts.stop(first.ring)
    await clock.advance(2)
    timeouts.set(second.ring)
    await clock.advance(4)
    assert (first.times, second.times, len(clock.pending)) == ([], [], 1)
    await clock.advance(1)
    assert (first.times, second.times) == ([], [7.0])
    timeouts.stop(second.ring)


async def test_the_timer_of_timeouts_ends_by_itself_when_there_are_none_left(clock: ManualClock) -> None:
    timeouts, watched = Timeouts(clock, 5), Watched(clock)
    timeouts.set(watched.ring)
    timeouts.stop(watched.ring)
    await clock.advance(5)
    assert (watched.times, clock.pending) == ([], [])


async def test_all_timeouts_are_stopped_at_once_with_their_timer_and_others_can_be_set(clock: ManualClock) -> None:
    timeouts, first, second = Timeouts(clock, 5), Watched(clock), Watched(clock)
    timeouts.set(first.ring)
    timeouts.set(second.ring)
    timeouts.stop_all()
    assert clock.pending == []
    await clock.advance(1)
    timeouts.set(second.ring)
    await clock.advance(100)
    assert (first.times, second.times) == ([], [6.0])


async def test_a_timeout_may_stop_the_next_one_or_set_itself_again(clock: ManualClock) -> None:
    timeouts, last = Timeouts(clock, 5), Watched(clock)
    times: list[float] = []

    def ring() -> None:
        times.append(clock.now())
        timeouts.stop(last.ring)
        if len(times) < 3:
            timeouts.set(ring)

    timeouts.set(ring)
    timeouts.set(last.ring)
    await clock.advance(100)
    assert (times, last.times, clock.pending) == ([5.0, 10.0, 15.0], [], [])


async def test_what_one_timeout_raises_does_not_keep_the_others_from_coming(clock: ManualClock) -> None:
    timeouts, watched = Timeouts(clock, 5), Watched(clock)

    def fail() -> None:
        raise RuntimeError("no")

    timeouts.set(fail)
    timeouts.set(watched.ring)
    with pytest.raises(RuntimeError):
        await clock.advance(5)
    await clock.advance(0)
    assert watched.times == [5.0]
