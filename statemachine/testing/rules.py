"""What holds after every step, whatever the order of events: each rule one sentence, and a check that says so.

A check is made a rule by `@_rule`: the name of the function is the name of the rule, its docstring the sentence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import attrs

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
from statemachine.machine import Outcome, Table
from statemachine.testing.picture import Coroutine, Picture, Role, Start, Timer
from statemachine.testing.world import World

_S, _E = ConnectionState, ConnectionEvent

ConnectionTable = Table[ConnectionState, ConnectionEvent, ConnectionEffect]
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


def must(holds: bool, message: str) -> None:
    """Raise AssertionError unless `holds`, also where `assert` is switched off."""
    if not holds:
        raise AssertionError(message)


_rules: list[Rule] = []


def _rule(check: Check) -> Check:
    _rules.append(Rule(check.__name__, check.__doc__ or "", check))
    return check


def _words(things: list[str]) -> str:
    return ", ".join(things) or "nothing"


def _moments(world: World) -> tuple[Picture, ...]:
    """The pictures of the last step in which a promise about the new state has to hold."""
    return (world.now,) if world.announced is None else (world.announced, world.now)


# Sockets and what lives on them


@_rule
def one_socket(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """At most one socket is open or being opened."""
    for picture in (world.before, *_moments(world)):
        sockets = picture.opening | picture.sockets
        must(len(sockets) <= 1, f"the sockets {sorted(sockets)} are open or being opened")


@_rule
def no_socket_without_connection(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """No socket is open in disconnected, backoff and auth_failed."""
    if machine.state in (_S.DISCONNECTED, _S.BACKOFF, _S.AUTH_FAILED):
        for picture in _moments(world):
            must(not picture.sockets, f"the sockets {sorted(picture.sockets)} are open in {machine.state.value}")


@_rule
def opening_in_connecting(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """A socket is being opened exactly in connecting."""
    if machine.state is _S.CONNECTING:
        # the socket may be open before the machine has heard of it
        must(world.now.opening | world.now.sockets == {machine.number}, f"alive are: {_words(world.now.alive)}")
    else:
        for picture in _moments(world):
            must(not picture.opening, f"an attempt is still pending in {machine.state.value}")


@_rule
def socket_is_read(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """In authenticated and listening the current connection's socket is open and read."""
    if machine.state in (_S.AUTHENTICATED, _S.LISTENING):
        reader = Coroutine(machine.number, Role.RECEIVE)
        read = world.now.sockets == {machine.number} and reader in world.now.coroutines
        must(read, f"on connection {machine.number}, alive are: {_words(world.now.alive)}")


@_rule
def offers_in_listening(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """Offers are made exactly in listening."""
    listening = machine.state is _S.LISTENING
    must(world.now.offering == listening, f"offers are {'not ' if listening else ''}made in {machine.state.value}")
    must(world.announced is None or not world.announced.offering, f"offers when {step.after.value} was announced")


@_rule
def lost_leaves_nothing(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """Nothing of a connection is alive when backoff is announced, nor when the next attempt is."""
    if step.after in (_S.BACKOFF, _S.CONNECTING) and world.announced is not None:
        must(not world.announced.alive, f"still alive: {_words(world.announced.alive)}")


@_rule
def coroutines_are_current(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """No coroutine outlives its connection."""
    for coroutine in world.now.coroutines:
        must(coroutine.number == machine.number, f"{coroutine} lives while the connection is {machine.number}")


@_rule
def rest_is_empty(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """Nothing is alive in disconnected and auth_failed."""
    if machine.state in REST_STATES:
        for picture in _moments(world):
            must(not picture.alive, f"still alive in {machine.state.value}: {_words(picture.alive)}")


# Timers


@_rule
def timers_stop_first(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The timers of a state stop before the next one is announced."""
    if world.announced is not None:
        running = sorted(timer.value for timer in world.announced.timers)
        must(not running, f"running when {step.after.value} was announced: {_words(running)}")


def _runs_exactly_in(state: ConnectionState, timer: Timer, world: World, machine: ConnectionMachine) -> None:
    running = timer in world.now.timers
    must(running == (machine.state is state), f"it {'runs' if running else 'is stopped'} in {machine.state.value}")


@_rule
def registration_timer(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The registration timer runs exactly in authenticated."""
    _runs_exactly_in(_S.AUTHENTICATED, Timer.REGISTRATION, world, machine)


@_rule
def retry_timer(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The retry timer runs exactly in backoff."""
    _runs_exactly_in(_S.BACKOFF, Timer.RETRY, world, machine)


@_rule
def idle_timer(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The idle timer runs exactly in listening."""
    _runs_exactly_in(_S.LISTENING, Timer.IDLE, world, machine)


@_rule
def age_timer(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The age timer runs exactly in listening."""
    _runs_exactly_in(_S.LISTENING, Timer.AGE, world, machine)


# Stopping


@_rule
def drain_in_shutting_down(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """A drain is pending exactly in shutting_down."""
    shutting_down = machine.state is _S.SHUTTING_DOWN
    must(world.now.draining == shutting_down, f"draining is {world.now.draining} in {machine.state.value}")


@_rule
def shutdown_spares_tasks(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """Shutdown leaves the tasks in flight and their socket."""
    if step.event is _E.SHUTDOWN and step.outcome is Outcome.TAKEN:
        must(world.now.tasks == world.before.tasks, "tasks were not given the graceful timeout")
        must(world.now.sockets == world.before.sockets, "the socket was closed before the results were sent")


@_rule
def broker_gone_kills(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """A broker that goes first in a shutdown takes the tasks with it."""
    if step.before is _S.SHUTTING_DOWN and step.event is _E.LOST and step.outcome is Outcome.TAKEN:
        must(not world.now.tasks, f"{len(world.now.tasks)} task(s) still run")


@_rule
def start_ends_at_rest(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """start() ends in auth_failed and disconnected, and only there."""
    start, state = world.now.start, machine.state
    if state in (_S.CONNECTING, _S.AUTHENTICATED, _S.LISTENING, _S.BACKOFF):
        must(start is Start.RUNNING, f"start() is {start.value} in {state.value}")
    elif state is _S.AUTH_FAILED:
        must(start is Start.REFUSED, f"start() is {start.value} in auth_failed")
    elif state is _S.DISCONNECTED:
        must(start is not Start.RUNNING, "start() still runs in disconnected")


# What is stale, ignored, counted and recorded


def _nothing_changed(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    must(step.effects == (), f"it issued {[effect.value for effect in step.effects]}")
    must(step.before is step.after is machine.state, f"the state went to {machine.state.value}")
    must(machine.number == world.number_before, f"the number went to {machine.number}")
    must(world.now == world.before, f"the world changed from {world.before} to {world.now}")


@_rule
def stale_changes_nothing(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """A stale event changes nothing and issues nothing."""
    if step.outcome is Outcome.STALE:
        _nothing_changed(world, machine, step)


@_rule
def ignored_changes_nothing(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """An ignored event changes nothing and issues nothing."""
    if step.outcome is Outcome.IGNORED:
        _nothing_changed(world, machine, step)


@_rule
def stale_by_number(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """An event is stale exactly if it speaks of another connection."""
    other = step.event not in UNNUMBERED and world.spoken_of != world.number_before
    must(
        (step.outcome is Outcome.STALE) == other,
        f"it spoke of connection {world.spoken_of} while the current one was {world.number_before}",
    )


@_rule
def number_counts_attempts(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The connection number grows by one when connecting is entered, and never else."""
    entered = step.after is _S.CONNECTING and step.before is not _S.CONNECTING
    expected = world.number_before + entered
    must(machine.number == expected, f"the number went from {world.number_before} to {machine.number}")


@_rule
def journal_is_complete(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """The journal records every fired event."""
    counts = machine.journal.counts
    must(counts == world.fired, f"it counts {counts} after {dict(world.fired)}")
    must(machine.journal.entries != (), "it is empty")
    last = machine.journal.entries[-1]
    said = (last.event, last.source, last.target, last.outcome, last.why)
    done = (step.event.value, step.before.value, step.after.value, step.outcome, step.why)
    must(said == done, f"its last entry is {last}")


@_rule
def way_to_disconnected(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    """Shutdown and closed lead from every state to disconnected."""
    must(_S.DISCONNECTED in _stopping_from(CONNECTION, machine.state), f"stop() is stuck in {machine.state.value}")


@functools.cache
def _stopping_from(table: ConnectionTable, state: ConnectionState) -> frozenset[ConnectionState]:
    """Where shutdown and closed can lead to; asked for after every step, and the same each time."""
    reached = {state}
    for _ in table.states:  # no way is longer than there are states
        reached |= {
            row.target for source, row in table.arrows() if source in reached and row.event in (_E.SHUTDOWN, _E.CLOSED)
        }
    return frozenset(reached)


CONNECTION_RULES = tuple(_rules)
"""What holds whatever the order of events."""
