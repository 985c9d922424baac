"""The machines alone, as people write them. Nobody runs this: type checkers have to accept every line, strictly."""

from __future__ import annotations

from enum import Enum
from typing import assert_type

from statemachine import (
    CONNECTION,
    ConnectionEffect,
    ConnectionEvent,
    ConnectionMachine,
    ConnectionState,
    ConnectionStep,
    EventRow,
    Journal,
    Lifecycle,
    StateRow,
    Step,
    Table,
    TransitionRow,
)
from statemachine.testing import (
    CONNECTION_RULES,
    ConnectionStateMachine,
    FakeDriver,
    FakePerformer,
    Performer,
    Picture,
    Post,
    Rule,
    VirtualClock,
    World,
)


def drive(machine: ConnectionMachine) -> tuple[ConnectionEffect, ...]:
    step = machine.fire(ConnectionEvent.CONNECT, why="because")
    assert_type(step, ConnectionStep)
    assert_type(machine.state, ConnectionState)
    assert_type(machine.to_mermaid(current=True, path=True), str)
    assert_type(CONNECTION.to_json(ConnectionState.LISTENING, machine.journal.entries), str)
    return step.effects


class Light(Enum):
    RED = "red"
    GREEN = "green"


class Press(Enum):
    BUTTON = "button"


class Lamp(Enum):
    SWITCH = "switch"


LIGHT: Table[Light, Press, Lamp] = Table(
    name="light",
    meaning="A traffic light.",
    initial=Light.RED,
    states=(
        StateRow(Light.RED, "Stop.", leads_to=(Light.GREEN,)),
        StateRow(Light.GREEN, "Go.", leads_to=(), entering=(Lamp.SWITCH,)),
    ),
    events=(EventRow(Press.BUTTON, "Somebody wants to go."),),
    effects=(),
    transitions=(TransitionRow((Light.RED,), Press.BUTTON, Light.GREEN, "at once"),),
)


def a_table_of_ones_own() -> Light:
    light = Lifecycle(LIGHT, Journal(lambda: 0.0))
    assert_type(light.fire(Press.BUTTON), Step[Light, Press, Lamp])
    return light.state


class Own:
    """A performer of one's own: it needs to inherit from nothing."""

    def __init__(self, clock: VirtualClock, post: Post) -> None:
        clock.call_later(5, lambda: post(ConnectionEvent.RETRY, 1))

    def perform(self, effect: ConnectionEffect, number: int) -> None:
        pass

    def happen(self, event: ConnectionEvent, number: int) -> None:
        pass

    def picture(self) -> Picture:
        return Picture()


def check(world: World, machine: ConnectionMachine, step: ConnectionStep) -> None:
    assert world.now == world.before or step.effects, machine.state


class OwnRuns(ConnectionStateMachine):
    connection_rules = (*CONNECTION_RULES[:3], Rule("mine", "Nothing comes of nothing.", check))

    def make_performer(self, clock: VirtualClock, post: Post) -> Performer:
        return Own(clock, post)


def a_story() -> FakeDriver:
    driver = FakeDriver(ConnectionMachine(Journal(lambda: 0.0)), FakePerformer)
    driver.fire(ConnectionEvent.CONNECT)
    driver.pass_time(5)
    FakeDriver(driver.machine, Own, VirtualClock())
    return driver
