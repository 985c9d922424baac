"""What the rules look at: the world before a step, at the moment of its announcement, and after it."""

from __future__ import annotations

from collections import Counter

from statemachine.machine import Outcome
from statemachine.testing.picture import Picture


class World:
    """The pictures of the latest step, and what it spoke of. Whoever drives a machine fills this in."""

    def __init__(self, now: Picture | None = None) -> None:
        """A world in which nothing has been fired."""
        self.now = now or Picture()
        self.before = self.now
        """The world when the last event was fired."""
        self.announced: Picture | None = None
        """The world when the last step announced its new state; None if it announced none."""
        self.number_before = 0
        """The machine's connection number when the last event was fired."""
        self.spoken_of: int | None = None
        """The connection number that the last event was fired with."""
        self.fired: Counter[Outcome] = Counter()
        """How many events were fired, by what became of them."""

    def expect(self, now: Picture, number: int, spoken_of: int | None) -> None:
        """An event that speaks of one connection is about to be fired, while the machine is at `number`."""
        self.before = now
        self.announced = None
        self.number_before = number
        self.spoken_of = spoken_of
