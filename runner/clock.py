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

    def now(self) -> float:
        """Seconds of the operating system's monotonic clock."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def call_later(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` once, `delay` seconds from now, on the running event loop."""
        return asyncio.get_running_loop().call_later(delay, callback)


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
