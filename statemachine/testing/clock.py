"""Time that passes only when a test says so."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

EPOCH = 1_700_000_000.0
"""What the wall says when a virtual clock begins, in seconds since 1970."""


class VirtualTimer:
    """A call that a virtual clock has yet to make."""

    __slots__ = ("callback", "cancelled", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        """A call of `callback` at `when`, in seconds on the clock's scale."""
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Forget the call. Harmless when it has been made or forgotten already."""
        self.cancelled = True


class VirtualClock:
    """A clock that is turned by hand. It may be given to a `TaskRunner` as well."""

    def __init__(self) -> None:
        """A clock that stands at 0 s."""
        self._now = 0.0
        self._timers: list[tuple[float, int, VirtualTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Seconds since this clock was made."""
        return self._now

    def wall(self) -> float:
        """Seconds since 1970, had this clock been made in November 2023."""
        return EPOCH + self._now

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        """Call `callback` once, when `delay` seconds have passed."""
        timer = VirtualTimer(self._now + delay, callback)
        heapq.heappush(self._timers, (timer.when, next(self._order), timer))
        return timer

    @property
    def pending(self) -> list[float]:
        """How far away each pending call is, in seconds, nearest first."""
        return sorted(when - self._now for when, _, timer in self._timers if not timer.cancelled)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, making every call that falls due, in order."""
        until = self._now + seconds
        while self.make_next_call(until):
            pass

    def make_next_call(self, until: float) -> bool:
        """Make the next call that falls due by `until`, at its time. Without one, it becomes `until`: returns False."""
        while self._timers and self._timers[0][0] <= until + 1e-9:  # for sums of floats that should have been equal
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self._now = max(self._now, when)
                timer.callback()
                return True
        self._now = max(self._now, until)
        return False
