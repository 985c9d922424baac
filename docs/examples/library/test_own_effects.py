"""Effects of one's own, held against the rules of the connection lifecycle by generated sequences of events.

`Pipes` stands for whatever opens and closes real things. It is shown what happens (`happen`), it does what it is asked
for (`perform`), and it shows what is alive (`picture`), by looking at the things themselves.
"""

from __future__ import annotations

import socket

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from statemachine import ConnectionEffect, ConnectionEvent
from statemachine.testing import (
    CONNECTION_RULES,
    ConnectionStateMachine,
    Coroutine,
    Performer,
    Picture,
    Post,
    Role,
    Timer,
    VirtualClock,
    VirtualTimer,
)

E, F = ConnectionEvent, ConnectionEffect


class Pipes:
    """Performs the effects with real sockets. It has no idle time, no renewal and no tasks."""

    def __init__(self, clock: VirtualClock, post: Post) -> None:
        self.clock, self.post = clock, post
        self.attempts: set[int] = set()
        self.sockets: dict[int, tuple[socket.socket, socket.socket]] = {}
        self.readers: set[int] = set()
        self.timers: dict[Timer, VirtualTimer] = {}
        self.offering = False
        self.draining: int | None = None

    def happen(self, event: ConnectionEvent, number: int) -> None:
        attempted = number in self.attempts
        if event is E.ACCEPTED and attempted:
            self.sockets[number] = socket.socketpair()
        if event in (E.ACCEPTED, E.REFUSED, E.UNREACHABLE) and attempted:
            self.attempts.remove(number)
        elif event in (E.REFUSED, E.UNREACHABLE) and number not in self.readers:
            self.close(number)
        elif event is E.CLOSED and number == self.draining:
            self.close(number)
            self.draining = None

    def perform(self, effect: ConnectionEffect, number: int) -> None:  # noqa: C901 - a case for each effect
        match effect:
            case F.OPEN_SOCKET:
                self.attempts.add(number)
            case F.ABANDON_OPENING:
                self.attempts.discard(number)
            case F.START_RECEIVING:
                self.readers.add(number)
            case F.START_REGISTRATION_TIMER:
                self.start(Timer.REGISTRATION, 10, E.LOST, number)
            case F.STOP_REGISTRATION_TIMER:
                self.stop(Timer.REGISTRATION)
            case F.START_RETRY_TIMER:
                self.start(Timer.RETRY, 5, E.RETRY, number)
            case F.STOP_RETRY_TIMER:
                self.stop(Timer.RETRY)
            case F.START_OFFERS | F.STOP_OFFERS:
                self.offering = effect is F.START_OFFERS
            case F.CANCEL_CONNECTION:
                self.close(number)
            case F.DRAIN:
                self.draining = number

    def picture(self) -> Picture:
        readers = {Coroutine(number, Role.RECEIVE) for number in self.readers}
        offers = {Coroutine(number, Role.OFFER) for number in self.readers if self.offering}
        return Picture(
            opening=frozenset(self.attempts),
            sockets=frozenset(number for number, ends in self.sockets.items() if ends[0].fileno() >= 0),
            timers=frozenset(self.timers),
            coroutines=frozenset(readers | offers),
            draining=self.draining is not None,
        )

    def close(self, number: int) -> None:
        self.readers.discard(number)
        for end in self.sockets.get(number, ()):
            end.close()

    def start(self, timer: Timer, delay: float, event: ConnectionEvent, number: int) -> None:
        def ring() -> None:
            self.stop(timer)
            self.post(event, number)

        self.timers[timer] = self.clock.call_later(delay, ring)

    def stop(self, timer: Timer) -> None:
        if timer in self.timers:
            self.timers.pop(timer).cancel()


class PipesAreSound(ConnectionStateMachine):
    """Generated runs. The rules that speak of what `Pipes` does not have are left out."""

    connection_rules = tuple(
        rule for rule in CONNECTION_RULES if rule.name not in {"idle_timer", "age_timer", "start_ends_at_rest"}
    )
    kind = Pipes

    def make_performer(self, clock: VirtualClock, post: Post) -> Performer:
        self.pipes = self.kind(clock, post)
        return self.pipes

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            for end in (end for ends in self.pipes.sockets.values() for end in ends):
                end.close()


class Forgetful(Pipes):
    """Keeps the socket of a lost connection."""

    def close(self, number: int) -> None:
        self.readers.discard(number)


class ForgetfulIsFound(PipesAreSound):
    kind = Forgetful


QUICK = settings(max_examples=50, deadline=None)


def test_no_order_of_events_breaks_a_rule() -> None:
    run_state_machine_as_test(PipesAreSound, settings=QUICK)


def test_a_socket_that_is_left_open_is_found() -> None:
    with pytest.raises(AssertionError, match=r"no_socket_without_connection: No socket is open in disconnected, "):
        run_state_machine_as_test(ForgetfulIsFound, settings=QUICK)
