"""The connection machine, pair by pair: every state with every event, against the design's table."""

from __future__ import annotations

import itertools

import attrs
import pytest

from statemachine import (
    REST_STATES,
    UNNUMBERED,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    ConnectionStep,
    Journal,
    Outcome,
)

S, E, F = ConnectionState, ConnectionEvent, ConnectionEffect


@attrs.frozen
class Taken:
    """What a listed event leads to, and what is to be performed before and after the new state is announced."""

    target: ConnectionState
    leaving: tuple[ConnectionEffect, ...] = ()
    entering: tuple[ConnectionEffect, ...] = ()


LEFT = (F.STOP_OFFERS, F.STOP_IDLE_TIMER, F.STOP_AGE_TIMER)
"""What leaving `listening` asks for."""

# From the design's table by hand, not from the rows: a mistake in a row has to show.
EXPECTED = {
    (S.DISCONNECTED, E.CONNECT): Taken(S.CONNECTING, (), (F.OPEN_SOCKET,)),
    (S.AUTH_FAILED, E.CONNECT): Taken(S.CONNECTING, (), (F.OPEN_SOCKET,)),
    (S.CONNECTING, E.ACCEPTED): Taken(
        S.AUTHENTICATED, (F.ABANDON_OPENING,), (F.START_RECEIVING, F.START_REGISTRATION_TIMER)
    ),
    (S.CONNECTING, E.REFUSED): Taken(S.AUTH_FAILED, (F.ABANDON_OPENING,), (F.REPORT_REFUSAL,)),
    (S.CONNECTING, E.UNREACHABLE): Taken(S.BACKOFF, (F.ABANDON_OPENING,), (F.START_RETRY_TIMER,)),
    (S.AUTHENTICATED, E.REGISTERED): Taken(
        S.LISTENING, (F.STOP_REGISTRATION_TIMER,), (F.START_OFFERS, F.START_IDLE_TIMER, F.START_AGE_TIMER)
    ),
    (S.AUTHENTICATED, E.LOST): Taken(
        S.BACKOFF, (F.STOP_REGISTRATION_TIMER, F.CANCEL_CONNECTION), (F.START_RETRY_TIMER,)
    ),
    (S.LISTENING, E.LOST): Taken(S.BACKOFF, (*LEFT, F.CANCEL_CONNECTION), (F.START_RETRY_TIMER,)),
    (S.LISTENING, E.RENEW): Taken(S.CONNECTING, (*LEFT, F.CANCEL_CONNECTION), (F.OPEN_SOCKET,)),
    (S.BACKOFF, E.RETRY): Taken(S.CONNECTING, (F.STOP_RETRY_TIMER,), (F.OPEN_SOCKET,)),
    (S.CONNECTING, E.SHUTDOWN): Taken(S.SHUTTING_DOWN, (F.ABANDON_OPENING,), (F.DRAIN,)),
    (S.AUTHENTICATED, E.SHUTDOWN): Taken(S.SHUTTING_DOWN, (F.STOP_REGISTRATION_TIMER,), (F.DRAIN,)),
    (S.LISTENING, E.SHUTDOWN): Taken(S.SHUTTING_DOWN, LEFT, (F.DRAIN,)),
    (S.BACKOFF, E.SHUTDOWN): Taken(S.SHUTTING_DOWN, (F.STOP_RETRY_TIMER,), (F.DRAIN,)),
    (S.AUTH_FAILED, E.SHUTDOWN): Taken(S.SHUTTING_DOWN, (), (F.DRAIN,)),
    (S.SHUTTING_DOWN, E.LOST): Taken(S.SHUTTING_DOWN, (F.KILL_TASKS,), ()),
    (S.SHUTTING_DOWN, E.CLOSED): Taken(S.DISCONNECTED, (), (F.REST,)),
}

PATHS: dict[ConnectionState, tuple[ConnectionEvent, ...]] = {
    S.DISCONNECTED: (),
    S.CONNECTING: (E.CONNECT,),
    S.AUTHENTICATED: (E.CONNECT, E.ACCEPTED),
    S.LISTENING: (E.CONNECT, E.ACCEPTED, E.REGISTERED),
    S.BACKOFF: (E.CONNECT, E.ACCEPTED, E.REGISTERED, E.LOST),
    S.AUTH_FAILED: (E.CONNECT, E.REFUSED),
    S.SHUTTING_DOWN: (E.CONNECT, E.ACCEPTED, E.REGISTERED, E.SHUTDOWN),
}

NUMBERED = tuple(event for event in E if event not in {E.CONNECT, E.SHUTDOWN})
PAIRS = tuple(itertools.product(S, E))
UNLISTED = tuple(pair for pair in PAIRS if pair not in EXPECTED)


def new_machine() -> ConnectionMachine:
    return ConnectionMachine(Journal(lambda: 0.0))


def fire_now(machine: ConnectionMachine, *events: ConnectionEvent) -> ConnectionStep:
    """Fire events of the current connection, and return the last step."""
    steps = [machine.fire(event, machine.number) for event in events]
    return steps[-1]


def machine_in(state: ConnectionState) -> ConnectionMachine:
    machine = new_machine()
    for event in PATHS[state]:
        fire_now(machine, event)
    assert machine.state is state
    return machine


def pair_name(value: object) -> str:
    return str(value.value) if isinstance(value, (S, E)) else str(value)


def test_a_new_machine_is_disconnected_and_has_made_no_attempt() -> None:
    machine = new_machine()
    assert (machine.state, machine.number) == (S.DISCONNECTED, 0)


def test_the_enumeration_covers_seventy_pairs() -> None:
    assert (len(PAIRS), len(EXPECTED), len(UNLISTED)) == (70, 17, 53)


@pytest.mark.parametrize(("state", "event"), EXPECTED, ids=pair_name)
def test_a_listed_event_is_taken_with_exactly_these_effects(state: ConnectionState, event: ConnectionEvent) -> None:
    machine = machine_in(state)
    expected = EXPECTED[state, event]
    step = machine.fire(event, machine.number, "because")
    assert step == ConnectionStep(
        event, state, expected.target, Outcome.TAKEN, "because", expected.leaving, expected.entering
    )
    assert step.effects == expected.leaving + expected.entering
    assert machine.state is expected.target


@pytest.mark.parametrize(("state", "event"), UNLISTED, ids=pair_name)
def test_an_unlisted_event_is_ignored_and_issues_nothing(state: ConnectionState, event: ConnectionEvent) -> None:
    machine = machine_in(state)
    number = machine.number
    step = machine.fire(event, number, "because")
    assert step == ConnectionStep(event, state, state, Outcome.IGNORED, "because")
    assert (machine.state, machine.number) == (state, number)


@pytest.mark.parametrize("offset", [-2, -1, 1, 2])
@pytest.mark.parametrize(("state", "event"), tuple(itertools.product(S, NUMBERED)), ids=pair_name)
def test_an_event_of_another_connection_is_stale_and_changes_nothing(
    state: ConnectionState, event: ConnectionEvent, offset: int
) -> None:
    machine = machine_in(state)
    number = machine.number
    step = machine.fire(event, number + offset, "because")
    assert step == ConnectionStep(event, state, state, Outcome.STALE, "because")
    assert (machine.state, machine.number) == (state, number)


def test_the_late_loss_of_a_lost_connection_does_not_disturb_the_next() -> None:
    machine = machine_in(S.BACKOFF)
    fire_now(machine, E.RETRY, E.ACCEPTED, E.REGISTERED)
    assert machine.number == 2
    assert machine.fire(E.LOST, 1).outcome is Outcome.STALE
    assert machine.state is S.LISTENING
    assert machine.fire(E.LOST, 2).outcome is Outcome.TAKEN


def test_connect_and_shutdown_alone_speak_of_no_connection() -> None:
    assert frozenset({E.CONNECT, E.SHUTDOWN}) == UNNUMBERED


@pytest.mark.parametrize("number", [None, -1, 0, 99])
@pytest.mark.parametrize("event", [E.CONNECT, E.SHUTDOWN], ids=pair_name)
@pytest.mark.parametrize("state", S, ids=pair_name)
def test_an_event_of_the_owner_is_never_stale(
    state: ConnectionState, event: ConnectionEvent, number: int | None
) -> None:
    listed = (state, event) in EXPECTED
    step = machine_in(state).fire(event, number)
    assert step.outcome is (Outcome.TAKEN if listed else Outcome.IGNORED)


@pytest.mark.parametrize("event", NUMBERED, ids=pair_name)
def test_a_numbered_event_without_a_number_is_a_bug_of_the_caller(event: ConnectionEvent) -> None:
    machine = machine_in(S.CONNECTING)
    before = machine.journal.entries
    with pytest.raises(ValueError, match=f"'{event.value}' has to say which connection"):
        machine.fire(event)
    assert machine.state is S.CONNECTING
    assert machine.journal.entries == before


def test_the_number_grows_when_connecting_is_entered_and_at_no_other_time() -> None:
    machine = new_machine()
    run = (
        (E.CONNECT, 1),
        (E.CONNECT, 1),
        (E.UNREACHABLE, 1),
        (E.RETRY, 2),
        (E.REFUSED, 2),
        (E.CONNECT, 3),
        (E.ACCEPTED, 3),
        (E.REGISTERED, 3),
        (E.LOST, 3),
        (E.RETRY, 4),
        (E.SHUTDOWN, 4),
        (E.LOST, 4),
        (E.CLOSED, 4),
        (E.CONNECT, 5),
    )
    for event, number in run:
        fire_now(machine, event)
        assert machine.number == number, event


def test_every_fired_event_is_journalled_with_what_became_of_it() -> None:
    ticks = itertools.count(100)
    journal = Journal(lambda: float(next(ticks)))
    machine = ConnectionMachine(journal)
    machine.fire(E.CONNECT, why="start() was called")
    machine.fire(E.LOST, 1)
    machine.fire(E.ACCEPTED, 0, "late")
    machine.fire(E.UNREACHABLE, 1, "ECONNREFUSED")
    written = [
        (entry.time, entry.number, entry.event, entry.source, entry.target, entry.outcome, entry.why)
        for entry in journal.entries
    ]
    assert written == [
        (100.0, 0, "connect", "disconnected", "connecting", Outcome.TAKEN, "start() was called"),
        (101.0, 1, "lost", "connecting", "connecting", Outcome.IGNORED, ""),
        (102.0, 0, "accepted", "connecting", "connecting", Outcome.STALE, "late"),
        (103.0, 1, "unreachable", "connecting", "backoff", Outcome.TAKEN, "ECONNREFUSED"),
    ]
    assert machine.journal is journal


def test_observers_see_every_step_in_their_order_after_it_was_journalled() -> None:
    seen: list[tuple[str, ConnectionStep, int]] = []
    journal = Journal(lambda: 0.0)
    machine = ConnectionMachine(
        journal,
        observers=(
            lambda step: seen.append(("first", step, len(journal.entries))),
            lambda step: seen.append(("second", step, len(journal.entries))),
        ),
    )
    taken = machine.fire(E.CONNECT)
    ignored = machine.fire(E.CONNECT)
    stale = machine.fire(E.LOST, 0)
    assert seen == [
        ("first", taken, 1),
        ("second", taken, 1),
        ("first", ignored, 2),
        ("second", ignored, 2),
        ("first", stale, 3),
        ("second", stale, 3),
    ]


def test_an_observer_sees_the_machine_in_its_new_state() -> None:
    seen: list[ConnectionState] = []
    machine = ConnectionMachine(Journal(lambda: 0.0), observers=(lambda step: seen.append(machine.state),))
    machine.fire(E.CONNECT)
    assert seen == [S.CONNECTING]


def test_a_broker_that_goes_first_in_a_shutdown_neither_leaves_nor_enters_the_state_again() -> None:
    machine = machine_in(S.SHUTTING_DOWN)
    for _ in range(2):
        step = fire_now(machine, E.LOST)
        assert step.effects == (F.KILL_TASKS,)
        assert step.before is step.after is S.SHUTTING_DOWN
    assert fire_now(machine, E.CLOSED).after is S.DISCONNECTED


def test_nothing_of_one_step_is_left_in_the_next() -> None:
    machine = machine_in(S.LISTENING)
    fire_now(machine, E.LOST)
    assert fire_now(machine, E.REGISTERED).effects == ()
    assert fire_now(machine, E.RETRY).effects == (F.STOP_RETRY_TIMER, F.OPEN_SOCKET)


def test_two_machines_do_not_know_of_each_other() -> None:
    one, other = new_machine(), new_machine()
    one.fire(E.CONNECT)
    assert (other.state, other.number, other.journal.entries) == (S.DISCONNECTED, 0, ())


def test_nobody_has_to_drive_a_machine_that_is_disconnected_or_refused() -> None:
    assert frozenset({S.DISCONNECTED, S.AUTH_FAILED}) == REST_STATES


def test_the_state_is_moved_by_nothing_but_fire() -> None:
    with pytest.raises(AttributeError):
        new_machine().state = S.LISTENING  # type: ignore[misc]
