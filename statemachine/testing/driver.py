"""A driver without I/O: it fires, has the effects performed, and holds every step against the rules."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from statemachine.connection import UNNUMBERED, ConnectionEffect, ConnectionEvent, ConnectionMachine, ConnectionStep
from statemachine.testing.clock import VirtualClock
from statemachine.testing.performer import Performer, Post
from statemachine.testing.rules import CONNECTION_RULES, check_rules
from statemachine.testing.world import World

MakePerformer = Callable[[VirtualClock, Post], Performer]
"""Makes a performer that is given its time and its mailbox, such as the class `FakePerformer`."""

Judge = Callable[[ConnectionEvent, int | None, ConnectionStep], None]
"""Called after each step with the event and the number that were fired; raises AssertionError if it was wrong."""


class FakeDriver:
    """Does in memory, and at once, what a driver does for a connection machine.

    Every step is judged: it breaks none of `CONNECTION_RULES`, or an AssertionError says which.
    """

    def __init__(
        self,
        machine: ConnectionMachine,
        make_performer: MakePerformer,
        clock: VirtualClock | None = None,
        judge: Judge | None = None,
    ) -> None:
        """A driver of `machine`, which nobody else fires.

        Parameters:
            make_performer: called once, with the clock and the way into the mailbox.
            clock: unless given, one that begins at 0 s.
            judge: what to do after each step instead of checking `CONNECTION_RULES`.
        """
        self.machine = machine
        self.clock = clock or VirtualClock()
        self._mailbox: deque[tuple[ConnectionEvent, int | None]] = deque()
        self.performer = make_performer(self.clock, self.post)
        self.world = World(self.performer.picture())
        self._judge = judge or self._check_rules

    def post(self, event: ConnectionEvent, number: int | None) -> None:
        """Put an event into the mailbox: it is fired by `hear()`."""
        self._mailbox.append((event, number))

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        """Let an event happen and fire it, for the current connection unless another number is given.

        Raises:
            AssertionError: the step, or one that it brought about, breaks a rule.
        """
        if number is None and event not in UNNUMBERED:
            number = self.machine.number
        if number is not None:
            self.performer.happen(event, number)
        step = self._take(event, number, why)
        self.hear()
        return step

    def hear(self) -> None:
        """Fire what the performer has posted, until there is nothing more.

        Raises:
            AssertionError: a step breaks a rule.
        """
        while self._mailbox:
            self._take(*self._mailbox.popleft())

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and fire what the timers post.

        Raises:
            AssertionError: a step breaks a rule.
        """
        until = self.clock.now() + seconds
        while self.clock.make_next_call(until):
            self.hear()

    def _take(self, event: ConnectionEvent, number: int | None, why: str = "") -> ConnectionStep:
        """Fire one event, and have it performed in the order in which every driver has to: announced in between."""
        world, before = self.world, self.machine.number
        world.expect(self.performer.picture(), before, number)
        step = self.machine.fire(event, number, why)
        world.fired[step.outcome] += 1
        self._perform(step.leaving, before)
        if step.after is not step.before:
            world.announced = self.performer.picture()
        self._perform(step.entering, self.machine.number)
        world.now = self.performer.picture()
        self._judge(event, number, step)
        return step

    def _perform(self, effects: tuple[ConnectionEffect, ...], number: int) -> None:
        for effect in effects:
            self.performer.perform(effect, number)

    def _check_rules(self, _: ConnectionEvent, __: int | None, step: ConnectionStep) -> None:
        check_rules(CONNECTION_RULES, self.world, self.machine, step)
