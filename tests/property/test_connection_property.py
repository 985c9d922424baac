"""Generated runs of the machines against their rules, and proof that the rules can be broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from statemachine import (
    CONNECTION,
    TASK,
    UNNUMBERED,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    ConnectionStep,
    Journal,
    Lifecycle,
    Outcome,
    Table,
    TaskEffect,
    TaskEvent,
    TaskMachine,
    TaskState,
)
from statemachine.testing import (
    CONNECTION_RULES,
    ConnectionStateMachine,
    Coroutine,
    FakeDriver,
    FakePerformer,
    FiredEvent,
    Performer,
    Post,
    Role,
    Start,
    Timer,
    VirtualClock,
    World,
    any_sequences,
    check_rules,
    fired_events,
    fired_sequences,
    legal_sequences,
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
    machine = ConnectionMachine(Journal(lambda: 0.0, limit=3))
    driver = FakeDriver(machine, FakePerformer)
    for fired in sequence:
        driver.fire(fired.event, fired.number(machine.number))
    assert sum(machine.journal.counts.values()) == len(sequence)


@given(legal_sequences(CONNECTION))
@settings(max_examples=100, deadline=None)
def test_every_legal_sequence_is_taken_step_by_step(sequence: list[ConnectionEvent]) -> None:
    driver = FakeDriver(ConnectionMachine(Journal(lambda: 0.0)), FakePerformer)
    assert [driver.fire(event).outcome for event in sequence] == [Outcome.TAKEN] * len(sequence)


def expect_broken(broken: type[ConnectionStateMachine], match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        run_state_machine_as_test(broken, settings=BROKEN_RUNS)


def with_performer(kind: type[FakePerformer]) -> type[ConnectionStateMachine]:
    """The generated runs of another performer."""

    class Other(ConnectionStateMachine):
        def make_performer(self, clock: VirtualClock, post: Post) -> Performer:
            return kind(clock, post)

    return Other


@pytest.mark.parametrize("forgotten", F, ids=lambda effect: effect.value)
def test_a_performer_that_forgets_one_effect_is_caught_by_the_rules(forgotten: ConnectionEffect) -> None:
    class Forgetful(FakePerformer):
        def perform(self, effect: ConnectionEffect, number: int) -> None:
            if effect is not forgotten:
                super().perform(effect, number)

    expect_broken(with_performer(Forgetful), "Found after")


def test_a_performer_that_leaves_the_socket_of_a_lost_connection_open_is_caught() -> None:
    class Leaky(FakePerformer):
        def cancel_connection(self) -> None:
            sockets = self.now.sockets
            super().cancel_connection()
            self.change(sockets=sockets)

    expect_broken(with_performer(Leaky), "no_socket_without_connection: .* in backoff")


def test_a_performer_that_kills_tasks_on_shutdown_is_caught() -> None:
    class Impatient(FakePerformer):
        def drain(self) -> None:
            super().drain()
            self.kill_tasks()

    expect_broken(with_performer(Impatient), "shutdown_spares_tasks: ")


@pytest.mark.parametrize("timer", Timer)
def test_a_timer_that_rings_and_goes_on_is_caught(timer: Timer) -> None:
    class Ringing(FakePerformer):
        def _stop(self, stopped: Timer) -> None:
            if stopped is not timer:
                super()._stop(stopped)

    expect_broken(with_performer(Ringing), "(timers_stop_first|lost_leaves_nothing|opening_in_connecting): ")


class Hasty(ConnectionMachine):
    """Has everything performed after the announcement."""

    def fire(self, event: ConnectionEvent, number: int | None = None, why: str = "") -> ConnectionStep:
        step = super().fire(event, number, why)
        return attrs.evolve(step, leaving=(), entering=step.effects)


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
        (Hasty, "(timers_stop_first|lost_leaves_nothing|opening_in_connecting): "),
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

    def damage(world: World) -> None:
        world.now = attrs.evolve(world.now, **changes)

    return damage


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
    driver = FakeDriver(ConnectionMachine(Journal(lambda: 0.0)), FakePerformer)
    steps = [driver.fire(event) for event in path or (E.LOST,)]
    return driver.world, driver.machine, steps[-1]


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
    driver = FakeDriver(ConnectionMachine(Journal(lambda: 0.0)), FakePerformer)
    for event in LOST:
        driver.fire(event)
    world, machine, step = driver.world, driver.machine, driver.fire(E.RETRY, 0)
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


@given(st.one_of(fired_sequences(max_size=5), legal_sequences(CONNECTION, max_size=5), any_sequences(TASK, max_size=5)))
def test_a_generated_run_is_no_longer_than_asked_for(sequence: list[Any]) -> None:
    assert len(sequence) <= 5


@pytest.mark.parametrize("table", [CONNECTION, TASK], ids=lambda table: table.name)
@given(data=st.data())
@settings(deadline=None)
def test_a_legal_sequence_of_any_table_is_taken(table: Table[Any, Any, Any], data: st.DataObject) -> None:
    lifecycle = Lifecycle(table)
    for event in data.draw(legal_sequences(table)):
        assert lifecycle.fire(event).outcome is Outcome.TAKEN


@pytest.mark.parametrize(
    "arrow", list(CONNECTION.arrows()), ids=lambda arrow: f"{arrow[0].value} {arrow[1].event.value}"
)
def test_every_arrow_is_gone_by_some_legal_sequence(arrow: tuple[ConnectionState, Any]) -> None:
    source, row = arrow

    def goes_by_it(sequence: list[ConnectionEvent]) -> bool:
        lifecycle = Lifecycle(CONNECTION)
        return any((step.before, step.event) == (source, row.event) for step in map(lifecycle.fire, sequence))

    assert find(legal_sequences(CONNECTION), goes_by_it, settings=settings(phases=[Phase.generate]))


@pytest.mark.parametrize("event", TaskEvent, ids=lambda event: event.value)
def test_any_sequences_hold_every_event_of_a_table(event: TaskEvent) -> None:
    assert find(any_sequences(TASK), lambda sequence: event in sequence) == [event]


# The fake performer's time


@pytest.mark.parametrize(
    ("path", "seconds", "state"),
    [
        ((E.CONNECT, E.ACCEPTED), 10.0, S.BACKOFF),
        (LOST, 5.0, S.CONNECTING),
        (LISTENING, 300.0, S.SHUTTING_DOWN),
        (SHUTDOWN, 10.0, S.DISCONNECTED),
        (LISTENING, 310.0, S.DISCONNECTED),
    ],
)
def test_timers_of_the_fake_performer_ring_when_their_time_has_come(
    path: tuple[ConnectionEvent, ...], seconds: float, state: ConnectionState
) -> None:
    driver = FakeDriver(ConnectionMachine(Journal(lambda: 0.0)), FakePerformer)
    for event in path:
        driver.fire(event)
    before = driver.machine.state
    driver.pass_time(seconds - 0.001)
    assert driver.machine.state is (S.SHUTTING_DOWN if state is S.DISCONNECTED else before)
    driver.pass_time(0.001)
    assert driver.machine.state is state


def test_a_connection_of_the_fake_performer_that_is_never_idle_is_renewed() -> None:
    class Busy(FakePerformer):
        delays: ClassVar = {**FakePerformer.delays, Timer.IDLE: 1e9}

    driver = FakeDriver(ConnectionMachine(Journal(lambda: 0.0)), Busy)
    for event in LISTENING:
        driver.fire(event)
    driver.pass_time(3600)
    assert (driver.machine.state, driver.machine.number) == (S.CONNECTING, 2)


# The task


@given(any_sequences(TASK, max_size=30))
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


@given(any_sequences(TASK, max_size=30))
@settings(deadline=None)
def test_a_task_can_always_be_brought_to_its_end(events: list[TaskEvent]) -> None:
    task = TaskMachine()
    for event in (*events, TaskEvent.KILL, TaskEvent.GONE):
        task.fire(event)
    assert task.state is TaskState.FINISHED
