"""The simulated network: what it does to messages, and what it may be told to do to them.

A connection keeps the order of messages, as TCP does, until a trouble says otherwise. Every delay and every loss is
drawn from the one source of chance of the simulation.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Protocol

import attrs

from tests.simulation.loop import SimulatedLoop
from tests.simulation.plan import Plan, Trouble, weighted
from tests.simulation.story import Story

if TYPE_CHECKING:
    from tests.simulation.connection import Connection, Item

TO_RUNNER = "to the runner"
TO_BROKER = "to the broker"

SLOWEST = 4.0
"""One way in a spell of slowness, at most; in seconds."""

LATEST = 5.0
"""How much later than due a delayed message, or the second of two, may arrive; in seconds."""

CHAOS_SHARE = 0.3
"""The share of messages that something happens to in a spell of chaos."""


class Observer(Protocol):
    """Who watches what passes between a runner and its sockets."""

    def sent(self, connection: Connection, frame: bytes) -> None:
        """The runner has given a frame to its socket."""

    def delivered(self, connection: Connection, frame: bytes) -> None:
        """The runner is about to get a frame."""

    def closing(self, connection: Connection) -> None:
        """The runner closes a connection politely."""

    def ended(self, connection: Connection) -> None:
        """The runner is about to learn that a connection has ended."""


class NobodyWatches:
    """An observer for simulations that look at nothing but the end."""

    def sent(self, connection: Connection, frame: bytes) -> None: ...

    def delivered(self, connection: Connection, frame: bytes) -> None: ...

    def closing(self, connection: Connection) -> None: ...

    def ended(self, connection: Connection) -> None: ...


@attrs.frozen
class Armed:
    """What happens to the next message of a kind on its way."""

    trouble: Trouble
    direction: str
    kind: str


class Network:
    """Latency, spells of trouble, and the connections that runners hold."""

    def __init__(self, loop: SimulatedLoop, plan: Plan, entropy: random.Random, story: Story) -> None:
        self.loop = loop
        self.plan = plan
        self.entropy = entropy
        self.story = story
        self.observer: Observer = NobodyWatches()
        self.open: dict[Connection, None] = {}
        """The connections that a runner has not let go of."""
        self.armed: list[Armed] = []
        self.answers: deque[Trouble] = deque()
        """What the next HTTP requests are answered with."""
        self.slow_until = 0.0
        self.chaos_until = 0.0
        self.disturbed_at = 0.0
        """When something last went wrong on purpose."""
        self.meddled: set[Trouble] = set()
        """What has been done to messages so far: it may explain what a broker takes for a violation."""

    @property
    def current(self) -> Connection | None:
        """The connection that was opened last, if the runner has not let go of it."""
        return next(reversed(self.open), None)

    def disturb(self, trouble: Trouble, detail: object = None) -> None:
        """A trouble takes effect now."""
        self.disturbed_at = self.loop._now
        self.story.count(trouble.name)
        self.story.tell("trouble", trouble.value, detail)

    def latency(self) -> float:
        """How long something takes one way, now."""
        plan = self.plan
        usual = plan.latency * (1 + plan.jitter * self.entropy.random())
        return usual if self.loop._now >= self.slow_until else usual + self.entropy.random() * SLOWEST

    @property
    def calm_since(self) -> float:
        """Since when nothing has gone wrong; in the future while something does."""
        return max(self.disturbed_at, self.slow_until, self.chaos_until)

    # A message on its way

    def arrivals(self, direction: str, item: Item, due: float) -> tuple[float, ...]:
        """When a message arrives that is due at a time: then, and once, unless there is trouble."""
        if not (self.armed or self.loop._now < self.chaos_until) or not isinstance(item, bytes):
            return (due,)
        trouble = self._trouble_for(direction, kind_of(item))
        if trouble is None:
            return (due,)
        self.meddled.add(trouble)
        self.disturb(trouble, item)
        if trouble is Trouble.LOSE:
            return ()
        late = due + self.entropy.random() * LATEST
        return (due, late) if trouble is Trouble.DUPLICATE else (late,)

    def _trouble_for(self, direction: str, kind: str) -> Trouble | None:
        for armed in self.armed:
            if armed.direction == direction and armed.kind in (kind, ""):
                self.armed.remove(armed)
                return armed.trouble
        if self.loop._now < self.chaos_until and self.entropy.random() < CHAOS_SHARE:
            return weighted(self.entropy, {Trouble.LOSE: 1, Trouble.DUPLICATE: 1, Trouble.DELAY: 1})
        return None


def kind_of(frame: bytes) -> str:
    """The type of a message, as both sides write it; empty for what they would not write."""
    start = b'{"type":"'
    return frame[len(start) : frame.index(b'"', len(start))].decode() if frame.startswith(start) else ""
