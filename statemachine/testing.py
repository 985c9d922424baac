"""A test kit for the connection machine: Hypothesis strategies, a fake world, and the rules as a list.

Theory of operation
-------------------
A `World` performs the effects of the connection table in memory and remembers what came of them: sockets, timers,
coroutines. It judges nothing. `CONNECTION_RULES` judge: each is one sentence that holds after every step, whatever
the order of events, with a function that says so. `ConnectionStateMachine` generates the order of events.

The kit reads the table as little as it can. `CONNECTION_MODEL` is the table of the design, written out again by hand:
a test that derived it from the rows would agree with any mistake in them.

To hold a performer of your own against the rules, subclass `World`, let its methods drive your performer, and return
it from `ConnectionStateMachine.make_world`. This module needs Hypothesis (the extra `testing`), so nothing else here
imports it.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from statemachine.connection import (
    CONNECTION,
    REST_STATES,
    UNNUMBERED,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    ConnectionStep,
)
from statemachine.journal import Journal
from statemachine.machine import Outcome, Table

__all__ = [
    "CONNECTION_MODEL",
    "CONNECTION_RULES",
    "ConnectionStateMachine",
    "Coroutine",
    "FiredEvent",
    "Model",
    "Picture",
    "Role",
    "Rule",
    "Start",
    "Timer",
    "World",
    "check_rules",
    "fire",
    "fired_events",
    "fired_sequences",
]

_S, _E, _F = ConnectionState, ConnectionEvent, ConnectionEffect


# What to fire


class FiredEvent(NamedTuple):
    """An event to fire, and how stale it is.

    `age` is 0 for the current connection, n for the one n connections ago, -n for one that does not exist yet.
    """

    event: ConnectionEvent
    age: int

    def number(self, current: int) -> int | None:
        """The connection number to fire it with when `current` is the machine's; None if it speaks of none."""
        return None if self.event in UNNUMBERED else current - self.age


def fired_events(max_age: int = 3, max_lead: int = 0) -> st.SearchStrategy[FiredEvent]:
    """Single events, most of them of the current connection.

    Parameters:
        max_age: how many connections ago a stale event may come from.
        max_lead: how many connections ahead an event may claim to be, which no well-behaved performer does.
    """
    ages = st.one_of(st.just(0), st.integers(-max_lead, max_age))
    return st.sampled_from(ConnectionEvent).flatmap(
        lambda event: st.builds(FiredEvent, st.just(event), st.just(0) if event in UNNUMBERED else ages)
    )


def fired_sequences(max_size: int = 50, max_age: int = 3, max_lead: int = 0) -> st.SearchStrategy[list[FiredEvent]]:
    """Whole runs: up to `max_size` events, in any order."""
    return st.lists(fired_events(max_age, max_lead), max_size=max_size)


# The world


class Timer(Enum):
    """The timers that the connection table starts and stops."""

    REGISTRATION = "registration"
    RETRY = "retry"
    IDLE = "idle"


class Role(Enum):
    """What a coroutine of a connection does."""

    RECEIVE = "receive"
    OFFER = "offer"
    TASK = "task"


class Start(Enum):
    """Where the latest `start()` stands: whether it has ended, and how."""

    NOT_CALLED = "not called"
    RUNNING = "running"
    REFUSED = "ended with the refusal"
    STOPPED = "ended, stopped"


class Coroutine(NamedTuple):
    """A living coroutine, and the number of the connection that it belongs to."""

    number: int
    role: Role


@attrs.frozen
class Picture:
    """The world at one moment. `opening` and `sockets` hold connection numbers."""

    opening: frozenset[int] = frozenset()
    sockets: frozenset[int] = frozenset()
    timers: frozenset[Timer] = frozenset()
    coroutines: frozenset[Coroutine] = frozenset()
    draining: bool = False
    start: Start = Start.NOT_CALLED

    @property
    def offering(self) -> bool:
        """Whether offers are being made."""
        return any(coroutine.role is Role.OFFER for coroutine in self.coroutines)

    @property
    def tasks(self) -> frozenset[Coroutine]:
        """The tasks in flight."""
        return frozenset(coroutine for coroutine in self.coroutines if coroutine.role is Role.TASK)

    @property
    def alive(self) -> list[str]:
        """Everything that is open, running or pending, in words."""
        return [
            *(f"the opening of socket {number}" for number in sorted(self.opening)),
            *(f"socket {number}" for number in sorted(self.sockets)),
            *sorted(f"the {timer.value} timer" for timer in self.timers),
            *sorted(f"the {role.value} coroutine of connection {number}" for number, role in self.coroutines),
            *(["a drain"] if self.draining else []),
        ]


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
        self._performers: Mapping[ConnectionEffect, Callable[[], None]] = {
            _F.OPEN_SOCKET: self.open_socket,
            _F.ABANDON_OPENING: self.abandon_opening,
            _F.START_RECEIVING: self.start_receiving,
            _F.START_REGISTRATION_TIMER: self.start_registration_timer,
            _F.STOP_REGISTRATION_TIMER: self.stop_registration_timer,
            _F.START_OFFERS: self.start_offers,
            _F.STOP_OFFERS: self.stop_offers,
            _F.START_IDLE_TIMER: self.start_idle_timer,
            _F.STOP_IDLE_TIMER: self.stop_idle_timer,
            _F.CANCEL_CONNECTION: self.cancel_connection,
            _F.START_RETRY_TIMER: self.start_retry_timer,
            _F.STOP_RETRY_TIMER: self.stop_retry_timer,
            _F.REPORT_REFUSAL: self.report_refusal,
            _F.DRAIN: self.drain,
            _F.KILL_TASKS: self.kill_tasks,
            _F.REST: self.rest,
        }

    # What happens in it

    def happen(self, event: ConnectionEvent, number: int | None) -> None:
        """Let the world become what `event` reports, before the machine hears of it."""
        if number is None:
            return
        if event is _E.ACCEPTED:
            self.socket_opens(number)
        elif event in (_E.REFUSED, _E.UNREACHABLE):
            self.opening_fails(number)
        elif event is _E.CLOSED and self.now.draining and number == self.number:
            self.drain_ends()

    def socket_opens(self, number: int) -> None:
        """An attempt under way succeeds. The machine may hear of it late, or never."""
        if number in self.now.opening:
            self.change(opening=self.now.opening - {number}, sockets=self.now.sockets | {number})

    def opening_fails(self, number: int) -> None:
        """An attempt comes to nothing, and leaves no socket behind."""
        in_use = any(coroutine.number == number for coroutine in self.now.coroutines)
        sockets = self.now.sockets if in_use else self.now.sockets - {number}
        self.change(opening=self.now.opening - {number}, sockets=sockets)

    def drain_ends(self) -> None:
        """The tasks have ended and the socket is closed."""
        self.change(draining=False, coroutines=frozenset(), sockets=frozenset())

    # What the machine asks for

    def expect(self, number: int, spoken_of: int | None) -> None:
        """Take a picture: an event that speaks of one connection is fired while the machine is at `number`."""
        self.before = self.now
        self.number_before = number
        self.spoken_of = spoken_of

    def perform(self, step: ConnectionStep, number: int) -> None:
        """Perform a step for the connection `number`: leave, hear of the new state, enter."""
        self.number = number
        self.fired[step.outcome] += 1
        for effect in step.leaving:
            self._performers[effect]()
        self.announced = None
        if step.after is not step.before:
            self.announce(step.after)
        for effect in step.entering:
            self._performers[effect]()

    def announce(self, state: ConnectionState) -> None:
        """Hear that `state` was reached."""
        self.announced = self.now

    def change(self, **changes: Any) -> None:
        """Replace parts of the picture."""
        self.now = attrs.evolve(self.now, **changes)

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


# The rules

Check = Callable[[World, ConnectionMachine, ConnectionStep], None]


@attrs.frozen
class Rule:
    """One thing that holds after every step. `check` raises AssertionError with the details when it does not."""

    name: str
    statement: str
    check: Check


def check_rules(rules: tuple[Rule, ...], world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """Hold the world after a step against every rule.

    Raises:
        AssertionError: a rule is broken; the message names it, states it, and says what was found.
    """
    for each in rules:
        try:
            each.check(world, machine, step)
        except AssertionError as error:
            raise AssertionError(
                f"{each.name}: {each.statement} Found after {step.event.value}, {step.before.value} -> "
                f"{step.after.value} ({step.outcome.value}): {error}"
            ) from error


def _must(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _words(things: list[str]) -> str:
    return ", ".join(things) or "nothing"


def _moments(world: World) -> tuple[Picture, ...]:
    """The pictures of the last step in which a promise about the new state has to hold."""
    return (world.now,) if world.announced is None else (world.announced, world.now)


def _one_socket(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    for picture in (world.before, *_moments(world)):
        sockets = picture.opening | picture.sockets
        _must(len(sockets) <= 1, f"the sockets {sorted(sockets)} are open or being opened")


def _no_socket_without_connection(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if machine.state in (_S.DISCONNECTED, _S.BACKOFF, _S.AUTH_FAILED):
        for picture in _moments(world):
            _must(not picture.sockets, f"the sockets {sorted(picture.sockets)} are open in {machine.state.value}")


def _opening_in_connecting(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if machine.state is _S.CONNECTING:
        # the socket may be open before the machine has heard of it
        _must(world.now.opening | world.now.sockets == {machine.number}, f"alive are: {_words(world.now.alive)}")
    else:
        for picture in _moments(world):
            _must(not picture.opening, f"an attempt is still pending in {machine.state.value}")


def _socket_is_read(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if machine.state in (_S.AUTHENTICATED, _S.LISTENING):
        reader = Coroutine(machine.number, Role.RECEIVE)
        read = world.now.sockets == {machine.number} and reader in world.now.coroutines
        _must(read, f"on connection {machine.number}, alive are: {_words(world.now.alive)}")


def _offers_in_listening(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    listening = machine.state is _S.LISTENING
    _must(world.now.offering == listening, f"offers are {'not ' if listening else ''}made in {machine.state.value}")
    _must(world.announced is None or not world.announced.offering, f"offers when {step.after.value} was announced")


def _lost_leaves_nothing(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if step.after is _S.BACKOFF and world.announced is not None:
        _must(not world.announced.alive, f"still alive: {_words(world.announced.alive)}")


def _coroutines_are_current(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    for coroutine in world.now.coroutines:
        _must(coroutine.number == machine.number, f"{coroutine} lives while the connection is {machine.number}")


def _rest_is_empty(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if machine.state in REST_STATES:
        for picture in _moments(world):
            _must(not picture.alive, f"still alive in {machine.state.value}: {_words(picture.alive)}")


def _timers_stop_first(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if world.announced is not None:
        running = sorted(timer.value for timer in world.announced.timers)
        _must(not running, f"running when {step.after.value} was announced: {_words(running)}")


def _timer_runs_in(
    timer: Timer, state: ConnectionState, world: World, machine: ConnectionMachine, step: ConnectionStep
) -> None:
    running = timer in world.now.timers
    _must(running == (machine.state is state), f"it {'runs' if running else 'is stopped'} in {machine.state.value}")


def _timer_rule(timer: Timer, state: ConnectionState) -> Rule:
    return Rule(
        f"{timer.value}_timer",
        f"The {timer.value} timer runs exactly in {state.value}.",
        functools.partial(_timer_runs_in, timer, state),
    )


def _drain_in_shutting_down(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    shutting_down = machine.state is _S.SHUTTING_DOWN
    _must(world.now.draining == shutting_down, f"draining is {world.now.draining} in {machine.state.value}")


def _shutdown_spares_tasks(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if step.event is _E.SHUTDOWN and step.outcome is Outcome.TAKEN:
        _must(world.now.tasks == world.before.tasks, "tasks were not given the graceful timeout")
        _must(world.now.sockets == world.before.sockets, "the socket was closed before the results were sent")


def _broker_gone_kills(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if step.before is _S.SHUTTING_DOWN and step.event is _E.LOST and step.outcome is Outcome.TAKEN:
        _must(not world.now.tasks, f"{len(world.now.tasks)} task(s) still run")


def _start_ends_at_rest(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    start, state = world.now.start, machine.state
    if state in (_S.CONNECTING, _S.AUTHENTICATED, _S.LISTENING, _S.BACKOFF):
        _must(start is Start.RUNNING, f"start() is {start.value} in {state.value}")
    elif state is _S.AUTH_FAILED:
        _must(start is Start.REFUSED, f"start() is {start.value} in auth_failed")
    elif state is _S.DISCONNECTED:
        _must(start is not Start.RUNNING, "start() still runs in disconnected")


def _nothing_changed(outcome: Outcome, world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    if step.outcome is not outcome:
        return
    _must(step.effects == (), f"it issued {[effect.value for effect in step.effects]}")
    _must(step.before is step.after is machine.state, f"the state went to {machine.state.value}")
    _must(machine.number == world.number_before, f"the number went to {machine.number}")
    _must(world.now == world.before, f"the world changed from {world.before} to {world.now}")


def _stale_by_number(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    numbered = step.event not in UNNUMBERED
    other = numbered and world.spoken_of != world.number_before
    _must(
        (step.outcome is Outcome.STALE) == other,
        f"it spoke of connection {world.spoken_of} while the current one was {world.number_before}",
    )


def _number_counts_attempts(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    entered = step.after is _S.CONNECTING and step.before is not _S.CONNECTING
    expected = world.number_before + 1 if entered else world.number_before
    _must(machine.number == expected, f"the number went from {world.number_before} to {machine.number}")


def _journal_is_complete(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    counts = machine.journal.counts
    _must(counts == world.fired, f"it counts {counts} after {dict(world.fired)}")
    if not machine.journal.entries:
        raise AssertionError("it is empty")
    last = machine.journal.entries[-1]
    said = (last.event, last.source, last.target, last.outcome, last.why)
    done = (step.event.value, step.before.value, step.after.value, step.outcome, step.why)
    _must(said == done, f"its last entry is {last}")


@functools.cache
def _stopped_from(
    table: Table[ConnectionState, ConnectionEvent, ConnectionEffect], state: ConnectionState
) -> frozenset[ConnectionState]:
    """Every state that shutdown and closed alone lead to."""
    reached = {state}
    for _ in table.states:  # no way is longer than there are states
        reached |= {
            row.target for source, row in table.arrows() if source in reached and row.event in (_E.SHUTDOWN, _E.CLOSED)
        }
    return frozenset(reached)


def _way_to_disconnected(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    _must(_S.DISCONNECTED in _stopped_from(CONNECTION, machine.state), f"stop() is stuck in {machine.state.value}")


CONNECTION_RULES: tuple[Rule, ...] = (
    Rule("one_socket", "At most one socket is open or being opened.", _one_socket),
    Rule(
        "no_socket_without_connection",
        "No socket is open in disconnected, backoff and auth_failed.",
        _no_socket_without_connection,
    ),
    Rule("opening_in_connecting", "A socket is being opened exactly in connecting.", _opening_in_connecting),
    Rule(
        "socket_is_read",
        "In authenticated and listening the current connection's socket is open and read.",
        _socket_is_read,
    ),
    Rule("offers_in_listening", "Offers are made exactly in listening.", _offers_in_listening),
    Rule("lost_leaves_nothing", "Nothing of a connection is alive when backoff is announced.", _lost_leaves_nothing),
    Rule("coroutines_are_current", "No coroutine outlives its connection.", _coroutines_are_current),
    Rule("rest_is_empty", "Nothing is alive in disconnected and auth_failed.", _rest_is_empty),
    Rule("timers_stop_first", "The timers of a state stop before the next one is announced.", _timers_stop_first),
    _timer_rule(Timer.REGISTRATION, _S.AUTHENTICATED),
    _timer_rule(Timer.RETRY, _S.BACKOFF),
    _timer_rule(Timer.IDLE, _S.LISTENING),
    Rule("drain_in_shutting_down", "A drain is pending exactly in shutting_down.", _drain_in_shutting_down),
    Rule("shutdown_spares_tasks", "Shutdown leaves the tasks in flight and their socket.", _shutdown_spares_tasks),
    Rule("broker_gone_kills", "A broker that goes first in a shutdown takes the tasks with it.", _broker_gone_kills),
    Rule("start_ends_at_rest", "start() ends in auth_failed and disconnected, and only there.", _start_ends_at_rest),
    Rule(
        "stale_changes_nothing",
        "A stale event changes nothing and issues nothing.",
        functools.partial(_nothing_changed, Outcome.STALE),
    ),
    Rule(
        "ignored_changes_nothing",
        "An ignored event changes nothing and issues nothing.",
        functools.partial(_nothing_changed, Outcome.IGNORED),
    ),
    Rule("stale_by_number", "An event is stale exactly if it speaks of another connection.", _stale_by_number),
    Rule(
        "number_counts_attempts",
        "The connection number grows by one when connecting is entered, and never else.",
        _number_counts_attempts,
    ),
    Rule("journal_is_complete", "The journal records every fired event.", _journal_is_complete),
    Rule("way_to_disconnected", "shutdown and closed lead from every state to disconnected.", _way_to_disconnected),
)
"""What holds whatever the order of events."""


# The model

CONNECTION_MODEL: Mapping[tuple[ConnectionState, ConnectionEvent], ConnectionState] = {
    (_S.DISCONNECTED, _E.CONNECT): _S.CONNECTING,
    (_S.AUTH_FAILED, _E.CONNECT): _S.CONNECTING,
    (_S.CONNECTING, _E.ACCEPTED): _S.AUTHENTICATED,
    (_S.CONNECTING, _E.REFUSED): _S.AUTH_FAILED,
    (_S.CONNECTING, _E.UNREACHABLE): _S.BACKOFF,
    (_S.AUTHENTICATED, _E.REGISTERED): _S.LISTENING,
    (_S.AUTHENTICATED, _E.LOST): _S.BACKOFF,
    (_S.LISTENING, _E.LOST): _S.BACKOFF,
    (_S.BACKOFF, _E.RETRY): _S.CONNECTING,
    (_S.CONNECTING, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.AUTHENTICATED, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.LISTENING, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.BACKOFF, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.AUTH_FAILED, _E.SHUTDOWN): _S.SHUTTING_DOWN,
    (_S.SHUTTING_DOWN, _E.LOST): _S.SHUTTING_DOWN,
    (_S.SHUTTING_DOWN, _E.CLOSED): _S.DISCONNECTED,
}
"""The table of the design by hand; what is absent is ignored."""


class Model:
    """The connection machine as a dict and two variables, to hold the real one against."""

    def __init__(self) -> None:
        """A model of a machine that has done nothing."""
        self.state = _S.DISCONNECTED
        self.number = 0

    def fire(self, event: ConnectionEvent, number: int | None) -> Outcome:
        """Do what the machine should do, and say what it should say."""
        if event not in (_E.CONNECT, _E.SHUTDOWN) and number != self.number:
            return Outcome.STALE
        if (self.state, event) not in CONNECTION_MODEL:
            return Outcome.IGNORED
        self.state = CONNECTION_MODEL[self.state, event]
        self.number += self.state is _S.CONNECTING
        return Outcome.TAKEN

    def listed(self) -> list[ConnectionEvent]:
        """The events that would be taken now."""
        return [event for state, event in CONNECTION_MODEL if state is self.state]


class ConnectionStateMachine(RuleBasedStateMachine):
    """Generated runs of a real machine, held against the model and against every rule after each step.

    Run it with `ConnectionStateMachine.TestCase` or Hypothesis's `run_state_machine_as_test`. Subclass it to check a
    world of your own, or rules of your own.
    """

    connection_rules: ClassVar[tuple[Rule, ...]] = CONNECTION_RULES

    def __init__(self) -> None:
        """A run in which nothing has been fired."""
        super().__init__()
        self.world = self.make_world()
        self.connection = self.make_machine()
        self.model = Model()
        self._sound = True

    def make_world(self) -> World:
        """What performs the effects; to be overridden."""
        return World()

    def make_machine(self) -> ConnectionMachine:
        """The machine under test; to be overridden."""
        ticks = itertools.count()
        return ConnectionMachine(Journal(lambda: float(next(ticks))))

    @rule(fired=fired_events(max_lead=2))
    def fire_any(self, fired: FiredEvent) -> None:
        """Fire an event, of this connection or of another."""
        self._fire(fired.event, fired.number(self.connection.number))

    @rule(data=st.data())
    def fire_listed(self, data: st.DataObject) -> None:
        """Fire an event that the state is waiting for: any event leads deep into a run too rarely."""
        event = data.draw(st.sampled_from(self.model.listed()), label="event")
        self._fire(event, FiredEvent(event, 0).number(self.connection.number))

    @precondition(lambda self: self.world.now.opening)
    @rule()
    def socket_opens_unheard(self) -> None:
        """Let the socket open while the machine has yet to hear of it."""
        self.world.socket_opens(self.connection.number)

    def teardown(self) -> None:
        """Stop, as every run may be stopped at any moment."""
        # after a broken rule this would only hide which one it was
        if self._sound:
            self._fire(_E.SHUTDOWN, None)
            self._fire(_E.CLOSED, self.connection.number)
            _must(self.connection.state is _S.DISCONNECTED, f"stop() ended in {self.connection.state.value}")

    def _fire(self, event: ConnectionEvent, number: int | None) -> None:
        self._sound = False
        outcome = self.model.fire(event, number)
        step = fire(self.connection, self.world, event, number)
        found = (step.outcome, self.connection.state, self.connection.number)
        expected = (outcome, self.model.state, self.model.number)
        _must(found == expected, f"{event.value} for connection {number}: expected {expected}, found {found}")
        check_rules(self.connection_rules, self.world, self.connection, step)
        self._sound = True
