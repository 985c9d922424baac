"""Time, as everything in this project is given it: what time it is, and a call later.

Nothing sleeps and nothing asks the operating system for the time elsewhere, so a test that is about five seconds
turns its own clock and takes no time at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class TimerHandle(Protocol):
    """A call that has yet to be made."""

    def cancel(self) -> None:
        """Forget the call. Harmless when it has been made or forgotten already."""


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds on a scale that never goes back."""

    def wall(self) -> float:
        """Seconds since 1970, for people to read."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` once on the event loop, `delay` seconds from now."""


class SystemClock:
    """The time of the running event loop and of the machine."""

    now = staticmethod(time.monotonic)
    """Seconds of the operating system's monotonic clock. A task asks fifteen times: no step in between."""

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def call_later(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` once, `delay` seconds from now, on the running event loop."""
        return asyncio.get_running_loop().call_later(delay, callback)


class Timeouts:
    """Calls that all come after the same delay, unless they are stopped before, as most timeouts are.

    One timer does for all of them, since the first that was set is the first to come: to set one, and to stop it, costs
    the event loop nothing. That timer stays until it has seen that there is nothing left, or until `stop_all`.
    """

    def __init__(self, clock: Clock, delay: float) -> None:
        """Nothing to call; `delay` is in seconds."""
        self._clock = clock
        self._delay = delay
        self._alarm = Alarm(clock, self._ring)
        self._deadlines: dict[Callable[[], None], float] = {}

    def set(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the delay has passed from now, and not when it was to be called before."""
        self._deadlines.pop(callback, None)  # or it would keep its place
        self._deadlines[callback] = self._clock.now() + self._delay
        if not self._alarm.is_set:
            self._alarm.set(self._delay)

    def stop(self, callback: Callable[[], None]) -> None:
        """Forget a call. Harmless when it has been made or forgotten already."""
        self._deadlines.pop(callback, None)

    def stop_all(self) -> None:
        """Forget all calls, and the timer."""
        self._deadlines.clear()
        self._alarm.stop()

    def _ring(self) -> None:
        """Make the first call, if its time has come: one, so that none has to do with what others raise."""
        now = self._clock.now()
        callback, deadline = next(iter(self._deadlines.items()), (None, 0.0))
        if callback is not None and deadline <= now:
            del self._deadlines[callback]
        else:
            callback = None
        first = next(iter(self._deadlines.values()), None)
        if first is not None:
            self._alarm.set(max(0.0, first - now))
        if callback is not None:
            callback()


class Alarm:
    """One timer that can be set again and again; setting it forgets the earlier time.

    A time that is put off, as timeouts are again and again, costs the event loop nothing: the call that is pending
    stays, and when it comes, another one is made for the rest.
    """

    def __init__(self, clock: Clock, callback: Callable[[], None]) -> None:
        """An alarm, not set, that will call `callback`."""
        self._clock = clock
        self._callback = callback
        self._handle: TimerHandle | None = None
        self._pending_at = 0.0
        """When the pending call comes."""
        self._rings_at = 0.0
        """When it is to ring: then, or later."""

    @property
    def is_set(self) -> bool:
        """Whether a call is pending."""
        return self._handle is not None

    def set(self, delay: float) -> None:
        """Call back `delay` seconds from now, and not at any time that was set before."""
        self._rings_at = self._clock.now() + delay
        if self._handle is None or self._rings_at < self._pending_at:
            self.stop()
            self._call_in(delay)

    def stop(self) -> None:
        """Forget the pending call, if there is one."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _call_in(self, delay: float) -> None:
        self._pending_at = self._rings_at
        self._handle = self._clock.call_later(delay, self._ring)

    def _ring(self) -> None:
        if self._rings_at > self._pending_at:
            self._call_in(max(0.0, self._rings_at - self._clock.now()))
        else:
            self._handle = None
            self._callback()
