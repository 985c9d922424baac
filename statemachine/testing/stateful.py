"""Generated runs: Hypothesis chooses the order of events, the model and the rules judge each step."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from statemachine.connection import ConnectionEvent, ConnectionMachine, ConnectionState
from statemachine.journal import Journal
from statemachine.testing.model import CONNECTION_MODEL, Model
from statemachine.testing.rules import CONNECTION_RULES, Rule, check_rules, must
from statemachine.testing.strategies import FiredEvent, fired_events
from statemachine.testing.world import World, fire


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
        return ConnectionMachine(Journal(lambda: 0.0))

    @rule(fired=fired_events(max_lead=2))
    def fire_any(self, fired: FiredEvent) -> None:
        """Fire an event, of this connection or of another."""
        self._fire(fired)

    @rule(data=st.data())
    def fire_listed(self, data: st.DataObject) -> None:
        """Fire an event that the state is waiting for: any event leads deep into a run too rarely."""
        listed = [event for state, event in CONNECTION_MODEL if state is self.model.state]
        self._fire(FiredEvent(data.draw(st.sampled_from(listed), label="event"), age=0))

    @precondition(lambda self: self.world.now.opening)
    @rule()
    def socket_opens_unheard(self) -> None:
        """Let the socket open while the machine has yet to hear of it."""
        self.world.socket_opens(self.connection.number)

    def teardown(self) -> None:
        """Stop, as every run may be stopped at any moment."""
        # after a broken rule this would only hide which one it was
        if self._sound:
            self._fire(FiredEvent(ConnectionEvent.SHUTDOWN, age=0))
            self._fire(FiredEvent(ConnectionEvent.CLOSED, age=0))
            state = self.connection.state
            must(state is ConnectionState.DISCONNECTED, f"stop() ended in {state.value}")

    def _fire(self, fired: FiredEvent) -> None:
        self._sound = False
        event, number = fired.event, fired.number(self.connection.number)
        outcome = self.model.fire(event, number)
        step = fire(self.connection, self.world, event, number)
        found = (step.outcome, self.connection.state, self.connection.number)
        expected = (outcome, self.model.state, self.model.number)
        must(found == expected, f"{event.value} for connection {number}: expected {expected}, found {found}")
        check_rules(self.connection_rules, self.world, self.connection, step)
        self._sound = True
