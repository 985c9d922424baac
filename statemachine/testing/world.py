"""A fake world: it performs the effects of the connection table in memory, and judges nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from statemachine.connection import ConnectionEvent, ConnectionMachine, ConnectionStep
from statemachine.machine import Outcome
from statemachine.testing.picture import Coroutine, Picture, Role, Start, Timer

_E = ConnectionEvent


class World:
    """Performs the effects of the connection table in memory, at once, and asserts nothing.

    Every effect is a method with the effect's name. The first offer is taken at once, so that `listening` always has
    a task in flight.
    """

    def __init__(self) -> None:
        """A world in which nothing has happened."""
        self.now = Picture()
        self.before = self.now
        """The world when the last event was fired."""
        self.announced: Picture | None = None
        """The world when the last step announced its new state; None if it announced none."""
        self.number = 0
        self.number_before = 0
        self.spoken_of: int | None = None
        """The connection number that the last event was fired with."""
        self.fired: Counter[Outcome] = Counter()

    # What happens in it

    def happen(self, event: ConnectionEvent, number: int | None) -> None:
        """Let the world become what `event` reports, before the machine hears of it."""
        if number is None:
            return
        if event is _E.ACCEPTED:
            self.socket_opens(number)
        elif event in (_E.REFUSED, _E.UNREACHABLE):
            # an attempt that comes to nothing leaves no socket behind
            in_use = any(coroutine.number == number for coroutine in self.now.coroutines)
            sockets = self.now.sockets if in_use else self.now.sockets - {number}
            self.change(opening=self.now.opening - {number}, sockets=sockets)
        elif event is _E.CLOSED and self.now.draining and number == self.number:
            self.change(draining=False, coroutines=frozenset(), sockets=frozenset())

    def socket_opens(self, number: int) -> None:
        """An attempt under way succeeds. The machine may hear of it late, or never."""
        if number in self.now.opening:
            self.change(opening=self.now.opening - {number}, sockets=self.now.sockets | {number})

    def change(self, **changes: Any) -> None:
        """Replace parts of the picture."""
        self.now = attrs.evolve(self.now, **changes)

    # What the machine asks for

    def expect(self, number: int, spoken_of: int | None) -> None:
        """Take a picture: an event that speaks of one connection is fired while the machine is at `number`."""
        self.before = self.now
        self.number_before = number
        self.spoken_of = spoken_of

    def perform(self, step: ConnectionStep, number: int) -> None:
        """Perform a step for the connection `number`: leave, hear of the new state, enter."""
        self.fired[step.outcome] += 1
        self.number = self.number_before
        for effect in step.leaving:
            getattr(self, effect.value)()
        self.number = number
        self.announced = None if step.after is step.before else self.now
        for effect in step.entering:
            getattr(self, effect.value)()

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
        """Begin to wait for the tasks."""
        self.change(draining=True)

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
        self.change(timers=self.now.timers | {timer})

    def _stop(self, timer: Timer) -> None:
        self.change(timers=self.now.timers - {timer})

    def _end_start(self, how: Start) -> None:
        if self.now.start is Start.RUNNING:
            self.change(start=how)


def fire(
    machine: ConnectionMachine, world: World, event: ConnectionEvent, number: int | None = None, why: str = ""
) -> ConnectionStep:
    """Fire one event and perform what it asks for, in the order in which a driver does."""
    world.happen(event, number)
    world.expect(machine.number, number)
    step = machine.fire(event, number, why)
    world.perform(step, machine.number)
    return step
