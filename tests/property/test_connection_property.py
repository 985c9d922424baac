"""Generated runs of the machines against their rules, and proof that the rules can be broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from statemachine import (
    CONNECTION,
    UNNUMBERED,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    ConnectionStep,
    Journal,
    Outcome,
    TaskEffect,
    TaskEvent,
    TaskMachine,
    TaskState,
)
from statemachine.testing import (
    CONNECTION_RULES,
    ConnectionStateMachine,
    Coroutine,
    FiredEvent,
    Role,
    Start,
    Timer,
    World,
    check_rules,
    fire,
    fired_events,
    fired_sequences,
)

S, E, F = ConnectionState, ConnectionEvent, ConnectionEffect

RULES = {rule.name: rule for rule in CONNECTION_RULES}

RUNS = settings(max_examples=200, stateful_step_count=50, deadline=None)
# the first broken run is enough, and has to be found every time
BROKEN_RUNS = settings(
    RUNS, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False
)


# The connection


def test_no_order_of_events_breaks_a_rule() -> None:
    run_state_machine_as_test(ConnectionStateMachine, settings=RUNS)


@given(fired_sequences(max_lead=2))
@settings(max_examples=200, deadline=None)
def test_every_sequence_of_events_keeps_every_rule(sequence: list[FiredEvent]) -> None:
    machine, world = ConnectionMachine(Journal(lambda: 0.0, limit=3)), World()
    for fired in sequence:
        step = fire(machine, world, fired.event, fired.number(machine.number))
        check_rules(CONNECTION_RULES, world, machine, step)
    assert sum(machine.journal.counts.values()) == len(sequence)


def expect_broken(broken: type[ConnectionStateMachine], match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        run_state_machine_as_test(broken, settings=BROKEN_RUNS)


@pytest.mark.parametrize("forgotten", F, ids=lambda effect: effect.value)
def test_a_world_that_forgets_one_effect_is_caught_by_the_rules(forgotten: ConnectionEffect) -> None:
    class Forgetful(World):
        def perform(self, step: ConnectionStep, number: int) -> None:
            leaving = tuple(effect for effect in step.leaving if effect is not forgotten)
            entering = tuple(effect for effect in step.entering if effect is not forgotten)
            super().perform(attrs.evolve(step, leaving=leaving, entering=entering), number)

    class Broken(ConnectionStateMachine):
        def make_world(self) -> World:
            return Forgetful()

    expect_broken(Broken, "Found after")


def test_a_world_that_leaves_the_socket_of_a_lost_connection_open_is_caught() -> None:
    class Leaky(World):
        def cancel_connection(self) -> None:
            sockets = self.now.sockets
            super().cancel_connection()
            self.change(sockets=sockets)

    class Broken(ConnectionStateMachine):
        def make_world(self) -> World:
            return Leaky()

    expect_broken(Broken, "no_socket_without_connection: .* in backoff")


def test_a_world_that_announces_backoff_before_the_connection_has_ended_is_caught() -> None:
    class Hasty(World):
        def perform(self, step: ConnectionStep, number: int) -> None:
            super().perform(attrs.evolve(step, leaving=(), entering=step.effects), number)

    class Broken(ConnectionStateMachine):
        connection_rules = (RULES["lost_leaves_nothing"],)

        def make_world(self) -> World:
            return Hasty()

    expect_broken(Broken, "lost_leaves_nothing: .*still alive: ")


def test_a_world_that_kills_tasks_on_shutdown_is_caught() -> None:
    class Impatient(World):
        def drain(self) -> None:
            super().drain()
            self.kill_tasks()

    class Broken(ConnectionStateMachine):
        def make_world(self) -> World:
            return Impatient()

    expect_broken(Broken, "shutdown_spares_tasks: ")


class Credulous(ConnectionMachine):
    """Takes an event of any connection for one of the current."""

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        return super().fire(event, self.number, why)


class Restless(ConnectionMachine):
    """Takes the loss of a connection that is being opened for a failure to open it, past the table."""

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        if event is E.LOST and self.state is S.CONNECTING and number == self.number:
            event = E.UNREACHABLE
        return super().fire(event, number, why)


class Talkative(ConnectionMachine):
    """Issues an effect for an event that it ignores."""

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        step = super().fire(event, number, why)
        return step if step.outcome is Outcome.TAKEN else attrs.evolve(step, leaving=(F.STOP_OFFERS,))


class Sloppy(ConnectionMachine):
    """Keeps a journal of what was taken, and of nothing else."""

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        kept, self.journal = self.journal, Journal(lambda: 0.0)
        step = super().fire(event, number, why)
        self.journal = kept
        if step.outcome is Outcome.TAKEN:
            self.journal.record(step)
        return step


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Credulous, "expected .*STALE"),
        (Restless, r"lost for connection \d+: expected .*IGNORED"),
        (Talkative, "(stale|ignored)_changes_nothing: .*stop_offers"),
        (Sloppy, "journal_is_complete: "),
    ],
)
def test_a_machine_that_breaks_its_word_is_caught(kind: type[ConnectionMachine], match: str) -> None:
    class Broken(ConnectionStateMachine):
        def make_machine(self) -> ConnectionMachine:
            return kind(Journal(lambda: 0.0))

    expect_broken(Broken, match)


# Every rule can fail

LISTENING = (E.CONNECT, E.ACCEPTED, E.REGISTERED)
LOST = (*LISTENING, E.LOST)
SHUTDOWN = (*LISTENING, E.SHUTDOWN)
Damage = Callable[[World], None]


def now(**changes: Any) -> Damage:
    """Change the world as it is."""
    return lambda world: world.change(**changes)


def announced(**changes: Any) -> Damage:
    """Change the world as it was when the last state was announced."""

    def damage(world: World) -> None:
        assert world.announced is not None
        world.announced = attrs.evolve(world.announced, **changes)

    return damage


def sockets(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def living(number: int, *roles: Role) -> frozenset[Coroutine]:
    return frozenset(Coroutine(number, role) for role in roles)


BREACHES: list[tuple[str, tuple[ConnectionEvent, ...], Damage]] = [
    ("one_socket", LISTENING, now(sockets=sockets(1, 2))),
    ("one_socket", LISTENING, now(opening=sockets(2))),
    ("no_socket_without_connection", LOST, announced(sockets=sockets(1))),
    ("no_socket_without_connection", (), now(sockets=sockets(1))),
    ("no_socket_without_connection", (E.CONNECT, E.REFUSED), now(sockets=sockets(1))),
    ("opening_in_connecting", (E.CONNECT,), now(opening=sockets())),
    ("opening_in_connecting", (E.CONNECT, E.SHUTDOWN), announced(opening=sockets(1))),
    ("socket_is_read", LISTENING, now(sockets=sockets())),
    ("socket_is_read", (E.CONNECT, E.ACCEPTED), now(coroutines=living(1))),
    ("offers_in_listening", LISTENING, now(coroutines=living(1, Role.RECEIVE))),
    ("offers_in_listening", SHUTDOWN, now(coroutines=living(1, Role.OFFER))),
    ("offers_in_listening", SHUTDOWN, announced(coroutines=living(1, Role.OFFER))),
    ("lost_leaves_nothing", LOST, announced(coroutines=living(1, Role.TASK))),
    ("lost_leaves_nothing", (E.CONNECT, E.UNREACHABLE), announced(opening=sockets(1))),
    ("coroutines_are_current", (*LOST, E.RETRY), now(coroutines=living(1, Role.TASK))),
    ("rest_is_empty", (*SHUTDOWN, E.CLOSED), now(coroutines=living(1, Role.RECEIVE))),
    ("rest_is_empty", (E.CONNECT, E.REFUSED), announced(timers=frozenset({Timer.RETRY}))),
    ("timers_stop_first", LISTENING, announced(timers=frozenset({Timer.REGISTRATION}))),
    ("registration_timer", (E.CONNECT, E.ACCEPTED), now(timers=frozenset())),
    ("registration_timer", LISTENING, now(timers=frozenset(Timer))),
    ("retry_timer", LOST, now(timers=frozenset())),
    ("retry_timer", (*LOST, E.RETRY), now(timers=frozenset({Timer.RETRY}))),
    ("idle_timer", LISTENING, now(timers=frozenset())),
    ("idle_timer", SHUTDOWN, now(timers=frozenset({Timer.IDLE}))),
    ("age_timer", LISTENING, now(timers=frozenset())),
    ("age_timer", (*LISTENING, E.RENEW), now(timers=frozenset({Timer.AGE}))),
    ("lost_leaves_nothing", (*LISTENING, E.RENEW), announced(sockets=sockets(1))),
    ("drain_in_shutting_down", SHUTDOWN, now(draining=False)),
    ("drain_in_shutting_down", LISTENING, now(draining=True)),
    ("shutdown_spares_tasks", SHUTDOWN, now(coroutines=living(1, Role.RECEIVE))),
    ("shutdown_spares_tasks", SHUTDOWN, now(sockets=sockets())),
    ("broker_gone_kills", (*SHUTDOWN, E.LOST), now(coroutines=living(1, Role.TASK))),
    ("start_ends_at_rest", LOST, now(start=Start.STOPPED)),
    ("start_ends_at_rest", (E.CONNECT, E.REFUSED), now(start=Start.STOPPED)),
    ("start_ends_at_rest", (*SHUTDOWN, E.CLOSED), now(start=Start.RUNNING)),
    ("ignored_changes_nothing", (E.CONNECT, E.LOST), now(draining=True)),
    ("ignored_changes_nothing", (E.CONNECT, E.CONNECT), lambda world: setattr(world, "number_before", 0)),
    ("stale_by_number", LISTENING, lambda world: setattr(world, "spoken_of", 9)),
    ("number_counts_attempts", (E.CONNECT,), lambda world: setattr(world, "number_before", 1)),
    ("number_counts_attempts", LISTENING, lambda world: setattr(world, "number_before", 0)),
    ("journal_is_complete", LISTENING, lambda world: world.fired.update([Outcome.STALE])),
]


def run(path: tuple[ConnectionEvent, ...]) -> tuple[World, ConnectionMachine, ConnectionStep]:
    """A world after a run; the empty run is one in which nothing is lost."""
    machine, world = ConnectionMachine(Journal(lambda: 0.0)), World()
    for event in path or (E.LOST,):
        step = fire(machine, world, event, FiredEvent(event, 0).number(machine.number))
    return world, machine, step


@pytest.mark.parametrize(("name", "path", "damage"), BREACHES, ids=[name for name, _, _ in BREACHES])
def test_a_rule_holds_after_a_run_and_fails_when_the_world_is_damaged(
    name: str, path: tuple[ConnectionEvent, ...], damage: Damage
) -> None:
    world, machine, step = run(path)
    check_rules(CONNECTION_RULES, world, machine, step)
    damage(world)
    with pytest.raises(AssertionError, match=f"^{name}: .*Found after {step.event.value}"):
        check_rules((RULES[name],), world, machine, step)


def test_a_stale_event_that_changes_something_is_caught() -> None:
    world, machine, _ = run(LOST)
    step = fire(machine, world, E.RETRY, 0)
    check_rules(CONNECTION_RULES, world, machine, step)
    for broken in (attrs.evolve(step, entering=(F.OPEN_SOCKET,)), attrs.evolve(step, after=S.CONNECTING)):
        with pytest.raises(AssertionError, match=r"^stale_changes_nothing: "):
            check_rules((RULES["stale_changes_nothing"],), world, machine, broken)


def test_a_table_in_which_stopping_does_not_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    world, machine, step = run(LISTENING)
    stuck = attrs.evolve(
        CONNECTION, transitions=tuple(row for row in CONNECTION.transitions if row.event is not E.CLOSED)
    )
    monkeypatch.setattr("statemachine.testing.rules.CONNECTION", stuck)
    with pytest.raises(AssertionError, match=r"^way_to_disconnected: .* stuck in listening"):
        check_rules(CONNECTION_RULES, world, machine, step)


def test_every_rule_was_seen_to_fail() -> None:
    elsewhere = {"stale_changes_nothing", "way_to_disconnected"}
    assert {name for name, _, _ in BREACHES} | elsewhere == set(RULES)
    assert len(RULES) == len(CONNECTION_RULES)


# The strategies


@given(fired_events(max_age=2, max_lead=1))
def test_a_fired_event_is_as_stale_as_it_says(fired: FiredEvent) -> None:
    assert -1 <= fired.age <= 2
    if fired.event in UNNUMBERED:
        assert (fired.age, fired.number(5)) == (0, None)
    else:
        assert fired.number(5) == 5 - fired.age


@pytest.mark.parametrize("age", [-2, -1, 0, 1, 2, 3])
def test_stale_current_and_future_events_are_all_generated(age: int) -> None:
    assert find(fired_events(max_age=3, max_lead=2), lambda fired: fired.age == age).event not in UNNUMBERED or age == 0


@given(fired_sequences(max_size=5))
def test_a_generated_run_is_no_longer_than_asked_for(sequence: list[FiredEvent]) -> None:
    assert len(sequence) <= 5


# The task


@given(st.lists(st.sampled_from(TaskEvent), max_size=30))
@settings(deadline=None)
def test_a_task_ends_once_whatever_the_order_of_events(events: list[TaskEvent]) -> None:
    task = TaskMachine()
    issued: list[TaskEffect] = []
    for event in events:
        was_finished = task.state is TaskState.FINISHED
        step = task.fire(event)
        issued += step.effects
        assert not (was_finished and step.effects)
        ended = int(task.state is TaskState.FINISHED)
        assert issued.count(TaskEffect.SEND_TERMINAL) == ended
        assert issued.count(TaskEffect.FREE_SLOT) == ended
        assert issued.count(TaskEffect.START_EXECUTION) <= 1


@given(st.lists(st.sampled_from(TaskEvent), max_size=30))
@settings(deadline=None)
def test_a_task_can_always_be_brought_to_its_end(events: list[TaskEvent]) -> None:
    task = TaskMachine()
    for event in (*events, TaskEvent.KILL, TaskEvent.GONE):
        task.fire(event)
    assert task.state is TaskState.FINISHED
