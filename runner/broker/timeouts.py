"""Timeouts of one length, for many at a time, with one timer of the event loop between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from runner.clock import Alarm, Clock

T = TypeVar("T")


class Timeouts(Generic[T]):
    """A timeout for each of many, all of the same length, so that they end in the order in which they began.

    The timer is for the one that ends next. It is left alone when that one is stopped, which nearly all are: what it
    then comes for is the next one.
    """

    def __init__(self, clock: Clock, delay: float, ended: Callable[[T], None]) -> None:
        """Timeouts of `delay` seconds; `ended` is called with each for which it has ended."""
        self._clock = clock
        self._delay = delay
        self._ended = ended
        self._ends: dict[T, float] = {}
        self._alarm = Alarm(clock, self._ring)

    def start(self, of: T) -> None:
        """Let a timeout begin; one that has begun begins anew."""
        self._ends.pop(of, None)
        self._ends[of] = self._clock.now() + self._delay
        if not self._alarm.is_set:
            self._alarm.set(self._delay)

    def stop(self, of: T) -> None:
        """Forget a timeout, if it has begun."""
        self._ends.pop(of, None)

    def close(self) -> None:
        """Forget all of them."""
        self._ends.clear()
        self._alarm.stop()

    def _ring(self) -> None:
        while self._ends:
            of, end = next(iter(self._ends.items()))
            left = end - self._clock.now()
            if left > 0:
                self._alarm.set(left)
                return
            del self._ends[of]
            self._ended(of)
