"""Who performs the effects: what the kit needs of a performer, and one that does it in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import attrs

from statemachine.connection import ConnectionEffect, ConnectionEvent
from statemachine.testing.clock import VirtualClock, VirtualTimer
from statemachine.testing.picture import Coroutine, Picture, Role, Start, Timer

_E = ConnectionEvent

Post = Callable[[ConnectionEvent, int | None], None]
"""Puts an event into the mailbox, with the number of the connection that it speaks of."""


class Performer(Protocol):
    """What can be held against the rules: something that performs effects, and shows what came of it."""

    def perform(self, effect: ConnectionEffect, number: int) -> None:
        """Perform one effect for the connection `number`, as far as a driver waits for it."""

    def happen(self, event: ConnectionEvent, number: int) -> None:
        """Let the world become what `event` of the connection `number` reports, before the machine hears of it.

        An event that cannot happen, such as one of a connection that is gone, changes nothing.
        """

    def picture(self) -> Picture:
        """What is alive at this moment."""


DELAYS: Mapping[Timer, float] = {Timer.REGISTRATION: 10, Timer.RETRY: 5, Timer.IDLE: 300, Timer.AGE: 3600}
"""After how many seconds each timer of a fake performer rings."""

GRACE = 10.0
"""How long a fake performer lets tasks go on when it drains, in seconds."""

RINGS = {
    Timer.REGISTRATION: _E.LOST,
    Timer.RETRY: _E.RETRY,
    Timer.IDLE: _E.SHUTDOWN,
    Timer.AGE: _E.RENEW,
}
"""What each timer posts when it rings."""


class FakePerformer:
    """Performs the effects of the connection table in memory, at once, and asserts nothing.

    Every effect is a method with the effect's name, to be overridden. The first offer is taken at once, so that
    `listening` always has a task in flight. Timers ring when the virtual clock says so.
    """

    delays: ClassVar[Mapping[Timer, float]] = DELAYS

    def __init__(self, clock: VirtualClock, post: Post) -> None:
        """A performer that has performed nothing."""
        self.now = Picture()
        self.number = 0
        """The connection that the latest effect was performed for."""
        self._clock = clock
        self._post = post
        self._timers: dict[Timer, VirtualTimer] = {}
        self._drain_timer: VirtualTimer | None = None

    def perform(self, effect: ConnectionEffect, number: int) -> None:
        """Perform one effect for the connection `number`."""
        self.number = number
        getattr(self, effect.value)()

    def picture(self) -> Picture:
        """What is alive at this moment."""
        return self.now

    def change(self, **changes: Any) -> None:
        """Replace parts of the picture."""
        self.now = attrs.evolve(self.now, **changes)

    # What happens to it

    def happen(self, event: ConnectionEvent, number: int) -> None:
        """Let the world become what `event` reports."""
        if event is _E.ACCEPTED:
            self._socket_opens(number)
        elif event in (_E.REFUSED, _E.UNREACHABLE):
            # an attempt that comes to nothing leaves no socket behind
            in_use = any(coroutine.number == number for coroutine in self.now.coroutines)
            sockets = self.now.sockets if in_use else self.now.sockets - {number}
            self.change(opening=self.now.opening - {number}, sockets=sockets)
        elif event is _E.CLOSED and self.now.draining and number == self.number:
            self._drained()

    def _socket_opens(self, number: int) -> None:
        """An attempt under way succeeds. The machine may hear of it late, or never."""
        if number in self.now.opening:
            self.change(opening=self.now.opening - {number}, sockets=self.now.sockets | {number})

    def _drained(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        self.change(draining=False, coroutines=frozenset(), sockets=frozenset())

    # What the machine asks for

    def open_socket(self) -> None:
        """Begin an attempt, on behalf of `start()`."""
        self.change(opening=self.now.opening | {self.number}, start=Start.RUNNING)

    def abandon_opening(self) -> None:
        """Cancel the attempt. A socket that has just opened is left for whoever comes next."""
        self.change(opening=self.now.opening - {self.number})

    def start_receiving(self) -> None:
        """Read the socket."""
        self._spawn(Role.RECEIVE)

    def start_registration_timer(self) -> None:
        """Start the registration timer."""
        self._start(Timer.REGISTRATION)

    def stop_registration_timer(self) -> None:
        """Stop the registration timer."""
        self._stop(Timer.REGISTRATION)

    def start_offers(self) -> None:
        """Make offers, the first of which is taken."""
        self._spawn(Role.OFFER)
        self._spawn(Role.TASK)

    def stop_offers(self) -> None:
        """Make no more offers."""
        self._end(Role.OFFER)

    def start_idle_timer(self) -> None:
        """Start the idle timer."""
        self._start(Timer.IDLE)

    def stop_idle_timer(self) -> None:
        """Stop the idle timer."""
        self._stop(Timer.IDLE)

    def start_age_timer(self) -> None:
        """Start the age timer."""
        self._start(Timer.AGE)

    def stop_age_timer(self) -> None:
        """Stop the age timer."""
        self._stop(Timer.AGE)

    def cancel_connection(self) -> None:
        """End every coroutine of the current connection and drop its socket."""
        self.change(
            coroutines=frozenset(coroutine for coroutine in self.now.coroutines if coroutine.number != self.number),
            sockets=self.now.sockets - {self.number},
        )

    def start_retry_timer(self) -> None:
        """Start the retry timer."""
        self._start(Timer.RETRY)

    def stop_retry_timer(self) -> None:
        """Stop the retry timer."""
        self._stop(Timer.RETRY)

    def report_refusal(self) -> None:
        """End `start()` with the refusal."""
        self._end_start(Start.REFUSED)

    def drain(self) -> None:
        """Begin to wait for the tasks, for the graceful timeout at most."""
        self.change(draining=True)
        number = self.number

        def waited_long_enough() -> None:
            self._drained()
            self._post(_E.CLOSED, number)

        self._drain_timer = self._clock.call_later(GRACE, waited_long_enough)

    def kill_tasks(self) -> None:
        """End every task."""
        self._end(Role.TASK)

    def rest(self) -> None:
        """End `start()`, unless a refusal has ended it before."""
        self._end_start(Start.STOPPED)

    def _spawn(self, role: Role) -> None:
        self.change(coroutines=self.now.coroutines | {Coroutine(self.number, role)})

    def _end(self, role: Role) -> None:
        self.change(coroutines=frozenset(each for each in self.now.coroutines if each.role is not role))

    def _start(self, timer: Timer) -> None:
        number = self.number

        def ring() -> None:
            self._stop(timer)
            self._post(RINGS[timer], number)

        self._timers[timer] = self._clock.call_later(self.delays[timer], ring)
        self.change(timers=self.now.timers | {timer})

    def _stop(self, timer: Timer) -> None:
        if timer in self._timers:
            self._timers.pop(timer).cancel()
        self.change(timers=self.now.timers - {timer})

    def _end_start(self, how: Start) -> None:
        if self.now.start is Start.RUNNING:
            self.change(start=how)
