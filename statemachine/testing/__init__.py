"""A test kit for the connection machine: Hypothesis strategies, a fake performer, and the rules as a list.

Theory of operation
-------------------
A `Performer` performs the effects of the connection table and shows what is alive: sockets, timers, coroutines. It
judges nothing; `FakePerformer` does it in memory, with a `VirtualClock`. A `FakeDriver` fires events, has them
performed, and takes the pictures of each step that make up a `World`. `CONNECTION_RULES` judge: each is one sentence
that holds after every step, whatever the order of events, with a function that says so. `ConnectionStateMachine`
generates the order of events.

The kit reads the table as little as it can. `CONNECTION_MODEL` is the table of the design, written out again by hand:
a test that derived it from the rows would agree with any mistake in them.

To hold a performer of your own against the rules, return it from `ConnectionStateMachine.make_performer`. This package
needs Hypothesis (the extra `testing`), so nothing else in `statemachine` imports it.
"""

try:
    import hypothesis as _  # noqa: F401 - asked for here, where the answer can say what to do
except ImportError as missing:
    raise ImportError(
        "statemachine.testing needs Hypothesis, which is not installed: pip install 'n8n-runner[testing]'",
        name=missing.name,
    ) from missing

from statemachine.testing.clock import VirtualClock, VirtualTimer
from statemachine.testing.driver import FakeDriver
from statemachine.testing.model import CONNECTION_MODEL, Model
from statemachine.testing.performer import FakePerformer, Performer, Post
from statemachine.testing.picture import Coroutine, Picture, Role, Start, Timer
from statemachine.testing.rules import CONNECTION_RULES, Rule, check_rules
from statemachine.testing.stateful import ConnectionStateMachine
from statemachine.testing.strategies import FiredEvent, any_sequences, fired_events, fired_sequences, legal_sequences
from statemachine.testing.world import World

__all__ = [
    "CONNECTION_MODEL",
    "CONNECTION_RULES",
    "ConnectionStateMachine",
    "Coroutine",
    "FakeDriver",
    "FakePerformer",
    "FiredEvent",
    "Model",
    "Performer",
    "Picture",
    "Post",
    "Role",
    "Rule",
    "Start",
    "Timer",
    "VirtualClock",
    "VirtualTimer",
    "World",
    "any_sequences",
    "check_rules",
    "fired_events",
    "fired_sequences",
    "legal_sequences",
]
