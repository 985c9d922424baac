"""A test kit for the connection machine: Hypothesis strategies, a fake world, and the rules as a list.

Theory of operation
-------------------
A `World` performs the effects of the connection table in memory and remembers what came of them: sockets, timers,
coroutines. It judges nothing. `CONNECTION_RULES` judge: each is one sentence that holds after every step, whatever
the order of events, with a function that says so. `ConnectionStateMachine` generates the order of events.

The kit reads the table as little as it can. `CONNECTION_MODEL` is the table of the design, written out again by hand:
a test that derived it from the rows would agree with any mistake in them.

To hold a performer of your own against the rules, subclass `World`, let its methods drive your performer, and return
it from `ConnectionStateMachine.make_world`. This package needs Hypothesis (the extra `testing`), so nothing else in
`statemachine` imports it.
"""

from statemachine.testing.model import CONNECTION_MODEL, Model
from statemachine.testing.picture import Coroutine, Picture, Role, Start, Timer
from statemachine.testing.rules import CONNECTION_RULES, Rule, check_rules
from statemachine.testing.stateful import ConnectionStateMachine
from statemachine.testing.strategies import FiredEvent, fired_events, fired_sequences
from statemachine.testing.world import World, fire

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
