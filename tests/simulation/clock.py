"""The clock that a simulated runner is given: the loop's time, and a view of the timers that were set on it."""

from __future__ import annotations

from collections.abc import Callable

from runner.clock import TimerHandle
from tests.simulation.loop import SimulatedLoop

EPOCH = 1_700_000_000.0
"""When a simulation begins, in seconds since 1970."""


class SimulatedTimer:
    """A call that has yet to be made, known to the clock until it has been made or forgotten."""

    __slots__ = ("_call", "_clock", "callback")

    def __init__(self, clock: SimulatedClock, delay: float, callback: Callable[[], None]) -> None:
        self._clock = clock
        self.callback = callback
        self._call = clock.loop.call_later(delay, self._ring)

    def cancel(self) -> None:
        """Forget the call."""
        self._call.cancel()
        self._clock.timers.pop(self, None)

    def _ring(self) -> None:
        del self._clock.timers[self]
        self.callback()


class SimulatedClock:
    """Simulated time, for one party: the timers of a runner and those of its broker are told apart by their clocks."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.timers: dict[SimulatedTimer, None] = {}

    def now(self) -> float:
        return self.loop._now

    def wall(self) -> float:
        return EPOCH + self.loop._now

    def call_later(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        timer = SimulatedTimer(self, delay, callback)
        self.timers[timer] = None
        return timer
