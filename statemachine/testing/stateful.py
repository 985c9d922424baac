"""Generated runs: Hypothesis chooses the order of events, the model and the rules judge each step."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from statemachine.connection import ConnectionEvent, ConnectionMachine, ConnectionState, ConnectionStep
from statemachine.journal import Journal
from statemachine.testing.clock import VirtualClock
from statemachine.testing.driver import FakeDriver
from statemachine.testing.model import CONNECTION_MODEL, Model
from statemachine.testing.performer import FakePerformer, Performer, Post
from statemachine.testing.rules import CONNECTION_RULES, Rule, check_rules, must
from statemachine.testing.strategies import FiredEvent, fired_events


class ConnectionStateMachine(RuleBasedStateMachine):
    """Generated runs of a real machine, held against the model and against every rule after each step.

    Run it with `ConnectionStateMachine.TestCase` or Hypothesis's `run_state_machine_as_test`. Subclass it to check a
    performer of your own (`make_performer`), a machine of your own (`make_machine`), or rules of your own
    (`connection_rules`).
    """

    connection_rules: ClassVar[tuple[Rule, ...]] = CONNECTION_RULES

    def __init__(self) -> None:
        """A run in which nothing has been fired."""
        super().__init__()
        self.clock = VirtualClock()
        self.connection = self.make_machine()
        self.driver = FakeDriver(self.connection, self.make_performer, self.clock, self._judge)
        self.model = Model()
        self._sound = True

    def make_performer(self, clock: VirtualClock, post: Post) -> Performer:
        """What performs the effects; to be overridden.

        Parameters:
            clock: where its timers come from.
            post: the way into the mailbox of the machine.
        """
        return FakePerformer(clock, post)

    def make_machine(self) -> ConnectionMachine:
        """The machine under test; to be overridden."""
        return ConnectionMachine(Journal(self.clock.wall))

    @rule(fired=fired_events(max_lead=2))
    def fire_any(self, fired: FiredEvent) -> None:
        """Fire an event, of this connection or of another."""
        self._fire(fired)

    @rule(data=st.data())
    def fire_listed(self, data: st.DataObject) -> None:
        """Fire an event that the state is waiting for: any event leads deep into a run too rarely."""
        listed = [event for state, event in CONNECTION_MODEL if state is self.model.state]
        self._fire(FiredEvent(data.draw(st.sampled_from(listed), label="event"), age=0))

    @precondition(lambda self: self.driver.performer.picture().opening)
    @rule()
    def socket_opens_unheard(self) -> None:
        """Let the socket open while the machine has yet to hear of it."""
        self.driver.performer.happen(ConnectionEvent.ACCEPTED, self.connection.number)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 10.0, 300.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        """Let timers ring that are due."""
        self._sound = False
        self.driver.pass_time(seconds)
        self._sound = True

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
        self.driver.fire(fired.event, fired.number(self.connection.number))
        self._sound = True

    def _judge(self, event: ConnectionEvent, number: int | None, step: ConnectionStep) -> None:
        outcome = self.model.fire(event, number)
        found = (step.outcome, self.connection.state, self.connection.number)
        expected = (outcome, self.model.state, self.model.number)
        must(found == expected, f"{event.value} for connection {number}: expected {expected}, found {found}")
        check_rules(self.connection_rules, self.driver.world, self.connection, step)
